"""The benchmarks can be begun: what they use is there, and they say how they are called."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "benchmarks"
SHARED = ("clips", "metrics", "style_network")  # what several of them use


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_a_benchmark_can_be_begun(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module(name)
    assert module.__file__ == str(FOLDER / f"{name}.py")
    if name not in SHARED:
        assert f"python benchmarks/{name}.py" in (module.__doc__ or "")
        assert callable(module.main)
