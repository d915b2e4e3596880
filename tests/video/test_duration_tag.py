"""Matroska's DURATION tag, which is text, may be anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from material import ffmpeg

from ncavideo.video.reader import VideoReader


@pytest.mark.parametrize("said", ["00:00:nan", "00:00:inf", "soon"])
def test_a_duration_that_is_no_number_is_none(tmp_path: Path, said: str) -> None:
    """A clip whose length was NaN ended in a traceback."""
    clip = tmp_path / "in.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=0.2", "-f", "lavfi", "-i",
           "sine=duration=0.2", clip)  # fmt: skip
    data = clip.read_bytes()
    found = re.search(rb"00:00:00\.2\d{8}", data)
    assert found is not None
    clip.write_bytes(data.replace(found[0], said.encode().ljust(len(found[0]))))
    with VideoReader(clip) as reader:
        assert len(list(reader)) == 5
