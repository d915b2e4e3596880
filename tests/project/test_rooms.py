"""The package's rooms: few, in one order, and without circles."""

from __future__ import annotations

import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import ncavideo

grimp = pytest.importorskip("grimp", reason="import-linter is not installed")

ROOT = Path(__file__).parents[2]
MOST_ROOMS = 12
MOST_LINES = 400  # of a module; a kernel is one function, and cannot be split


def test_there_are_few_rooms() -> None:
    package = Path(ncavideo.__file__).parent
    rooms = [path.parent.name for path in package.glob("*/__init__.py")]
    loose = {path.name for path in package.glob("*.py")}
    assert len(rooms) <= MOST_ROOMS, sorted(rooms)
    assert loose == {"__init__.py", "__main__.py", "version.py"}


def test_no_module_is_long() -> None:
    package = Path(ncavideo.__file__).parent
    modules = [*package.rglob("*.py"), *package.rglob("*.js")]
    lines = {
        path.relative_to(package).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in modules
        if not path.name.endswith("_kernel.py")
    }
    assert len(lines) > 100
    assert not {name for name, count in lines.items() if count > MOST_LINES}


def test_each_room_uses_only_what_lies_below_it() -> None:
    # In a process of its own: it sets up Python's logging, which silences the package's.
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside of functions and for types alone count, too."""
    graph = grimp.build_graph("ncavideo", cache_dir=None)
    arrows = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(arrows).prepare()  # says which, if there is one
