"""Label numbers survive the codecs that label clips are written with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from ncavideo.control.footage import LABELS, Footage
from ncavideo.video.reader import VideoReader
from tests.material import turn

SIZE = (48, 64)


def write(clip: Path, labels: np.ndarray, *options: str) -> Path:
    """Encode the labels for three frames, given as grey."""
    grey = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", "64x48", "-r", "25", "-i", "-")
    command = ["ffmpeg", "-v", "error", "-y", *grey, *options, str(clip)]
    subprocess.run(command, input=labels.astype(np.uint8).tobytes() * 3, check=True)
    return clip


def read(clip: Path) -> np.ndarray:
    footage = Footage(clip, LABELS, "label map", loop=False, rate=25)
    try:
        return footage.at(0.05)
    finally:
        footage.close()


@pytest.mark.parametrize(
    "options",
    [
        ("-c:v", "ffv1", "-pix_fmt", "gray"),
        ("-c:v", "libx264", "-qp", "0", "-pix_fmt", "gray"),
        ("-c:v", "ffv1", "-pix_fmt", "gbrp"),
        ("-c:v", "png",),
    ],
)  # fmt: skip
@pytest.mark.parametrize("labels", [(0, 1, 2, 3), range(256), (0, 200, 255)])
def test_labels_are_exact(labels: range, options: tuple[str, ...], tmp_path: Path) -> None:
    numbers = np.resize(np.asarray(labels), SIZE)
    np.testing.assert_array_equal(read(write(tmp_path / "l.mkv", numbers, *options)), numbers)


@pytest.mark.parametrize("codec", [("ffv1",), ("libx264", "-qp", "0"), ("mpeg4", "-q:v", "2")])
def test_labels_of_video_range_are_brought_back(codec: tuple[str, ...], tmp_path: Path) -> None:
    """As FFmpeg converts grey to YUV, in large areas, which a lossy codec leaves whole."""
    numbers = np.repeat(np.asarray([0, 51, 102, 204]), 16)[None].repeat(48, 0)
    clip = write(tmp_path / "l.mkv", numbers, "-c:v", *codec, "-pix_fmt", "yuv420p")
    off = np.abs(read(clip) - numbers)
    assert off[:, 4:12].max() <= (3 if codec[0] == "mpeg4" else 1)
    assert off[:, 52:60].max() <= (3 if codec[0] == "mpeg4" else 1)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_labels_of_a_turned_clip_are_upright(degrees: int, tmp_path: Path) -> None:
    numbers = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 7
    options = ("-c:v", "libx264", "-qp", "0", "-pix_fmt", "gray")
    clip = write(tmp_path / "l.mp4", numbers, *options)
    turn(clip, tmp_path / "turned.mp4", degrees)
    with VideoReader(tmp_path / "turned.mp4") as reader:
        orientation = reader.info.orientation
    np.testing.assert_array_equal(read(tmp_path / "turned.mp4"), orientation.apply(numbers))
    assert not np.array_equal(read(tmp_path / "turned.mp4"), numbers)
