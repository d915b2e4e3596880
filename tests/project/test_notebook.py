"""The example notebook runs from its first cell to its last, as a reader would run it."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from ncavideo.nca.ruleset import RuleSet

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_train_your_own(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    notebook = nbformat.read(tmp_path / "examples" / "train_your_own.ipynb", 4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without its outputs"
    # A reader's training takes minutes; the first of its iterations show that every cell runs.
    for said, short in (
        ("iterations = 1000", "iterations = 30"),
        ("duration=1.0", "duration=0.2, warmup=24"),
    ):
        (cell,) = [cell for cell in notebook.cells if said in cell.source]
        cell.source = cell.source.replace(said, short)
    client = NotebookClient(
        notebook, timeout=900, resources={"metadata": {"path": str(tmp_path / "examples")}}
    )
    client.execute()
    made = tmp_path / "examples" / "my-rules"
    assert RuleSet.load(made / "mine.safetensors").rule_names == ("ice", "bark")
    assert (made / "clip.ice-bark.mp4").stat().st_size > 1_000
    shown = [
        output.data
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type in ("display_data", "execute_result")
    ]
    assert sum("image/png" in data for data in shown) == 4


def test_in_python(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    notebook = nbformat.read(tmp_path / "examples" / "in_python.ipynb", 4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without its outputs"
    folder = {"metadata": {"path": str(tmp_path / "examples")}}
    NotebookClient(notebook, timeout=300, resources=folder).execute()
    assert (tmp_path / "examples" / "clip.fire-moss.mp4").stat().st_size > 10_000
    shown = [output.data for cell in notebook.cells for output in cell.get("outputs", [])
             if output.output_type in ("display_data", "execute_result")]  # fmt: skip
    assert sum("image/png" in data for data in shown) == 2
    pages = [data["text/html"] for data in shown if "text/html" in data]
    assert ["<video" in page for page in pages] == [False, True]
    assert pages[0].count("data:image/png") == 4
