"""What the tests of batches share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def folder(clip: Path, tmp_path: Path) -> Path:
    """Five good clips with hard names, one below, and four that are none."""
    here = tmp_path / "in"
    (here / "below").mkdir(parents=True)
    data = clip.read_bytes()
    for name in ("plain.mp4", "two words.mp4", 'it\'s "x".mp4', "new\nline.mp4", "below/deep.mp4"):
        (here / name).write_bytes(data)
    (here / os.fsdecode(b"b\xffd.mp4")).write_bytes(data)
    (here / "empty.mp4").touch()
    (here / "noise.mp4").write_bytes(bytes(range(256)) * 20)
    (here / "cut.mp4").write_bytes(data[: len(data) // 2])
    (here / "gone.mp4").symlink_to(here / "nowhere.mp4")
    (here / "notes.txt").write_text("not a clip")
    (here / "below" / "loop").symlink_to(here)
    return here
