"""What is written beside an output: a process that is killed leaves none of it behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from ncavideo.batch.urls import local
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.rendering.local_inputs import local_inputs
from ncavideo.rendering.options import RenderOptions
from ncavideo.still.fractal import grow_fractal
from ncavideo.still.options import StillOptions
from ncavideo.util.scratch import scratch


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files go to, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_folder_is_made_once_when_asked_for(temporary: Path) -> None:
    with scratch() as folder:
        assert not list(temporary.iterdir())
        assert folder() == folder()
        assert list(temporary.iterdir()) == [folder()]
        (folder() / "file").touch()
    assert not list(temporary.iterdir())


def test_local_files_need_no_folder(temporary: Path, tmp_path: Path) -> None:
    with local_inputs("here.mp4", RenderOptions(rules=("fire",))):
        assert not list(temporary.iterdir())
    with local("here.mp4", str(tmp_path / "out.mp4")):
        assert not list(temporary.iterdir())


def test_a_fractal_s_files_have_no_name(temporary: Path) -> None:
    options = StillOptions({"ice": 1.0}, fractal=2, level_steps=1, steps=1)
    shares, seen = [], []

    def news(share: float) -> None:
        shares.append(share)
        seen.extend(temporary.iterdir())

    grow_fractal(open_ruleset("tiny"), options, 64, 64, news)
    assert shares[-1] == 1 and shares == sorted(shares)
    assert seen == []
