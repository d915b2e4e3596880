"""The package's rooms: few, in one order, and without circles."""

from __future__ import annotations

import graphlib
from pathlib import Path

import pytest

import ncavideo

grimp = pytest.importorskip("grimp", reason="import-linter is not installed")

ROOT = Path(__file__).parents[2]
MOST_ROOMS = 12


def test_there_are_few_rooms() -> None:
    package = Path(ncavideo.__file__).parent
    rooms = [path.parent.name for path in package.glob("*/__init__.py")]
    loose = {path.name for path in package.glob("*.py")}
    assert len(rooms) <= MOST_ROOMS, sorted(rooms)
    assert loose == {"__init__.py", "__main__.py", "version.py"}


def test_each_room_uses_only_what_lies_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlinter.cli import lint_imports

    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside of functions and for types alone count, too."""
    graph = grimp.build_graph("ncavideo", cache_dir=None)
    arrows = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(arrows).prepare()  # says which, if there is one
