"""Limited and full range: clips without colour, and outputs that cannot say that theirs is full."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from click.testing import CliRunner

from ncavideo.cli.main import main
from ncavideo.video.grey import grey_curve
from ncavideo.video.reader import VideoReader


def make(path: Path, levels: list[int], pix_fmt: str, codec: str, color_range: int) -> Path:
    """Write five frames of bars whose luma is `levels` of 8 bits, deeper ones scaled up."""
    bits = av.VideoFormat(pix_fmt).components[0].bits
    luma = np.repeat(np.array(levels), 64 // len(levels))[None].repeat(48, 0) << (bits - 8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.codec_context.color_range = color_range
        if codec == "libx265":
            stream.codec_context.options = {"x265-params": "log-level=error:lossless=1"}
        for index in range(5):
            frame = av.VideoFrame(64, 48, pix_fmt)
            frame.color_range, frame.pts = color_range, index
            for number, plane in enumerate(frame.planes):
                kind = np.uint8 if bits == 8 else np.uint16
                rows = np.full((plane.height, plane.line_size // kind(0).nbytes), 128, kind)
                if number == 0:
                    rows[:, :64] = luma
                plane.update(rows.tobytes())
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def bars(path: Path | io.BytesIO, count: int) -> list[float]:
    """The bars of a clip's first frame in 8-bit levels, as `VideoReader` has them."""
    assert isinstance(path, Path)
    with VideoReader(path) as reader:
        rgb = next(iter(reader)).rgb
    row = rgb[24, :, 1].astype(float) * 255 / np.iinfo(rgb.dtype).max
    return [float(np.median(part)) for part in np.split(row, count)]


@pytest.mark.parametrize(
    ("pix_fmt", "codec"),
    [("gray", "libx265"), ("gray", "ffv1"), ("gray10le", "ffv1"), ("yuv420p", "ffv1")],
)
def test_limited_grey_is_black_to_white(tmp_path: Path, pix_fmt: str, codec: str) -> None:
    levels = [16, 125, 235, 245]
    clip = make(tmp_path / "in.mkv", levels, pix_fmt, codec, ColorRange.MPEG)
    assert bars(clip, 4) == pytest.approx([0, 126.9, 255, 255], abs=1.1)


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le"])
def test_full_grey_is_left_as_it_is(tmp_path: Path, pix_fmt: str) -> None:
    clip = make(tmp_path / "in.mkv", [16, 125, 235, 245], pix_fmt, "ffv1", ColorRange.JPEG)
    assert bars(clip, 4) == pytest.approx([16, 125, 235, 245], abs=1.1)


def test_grey_that_does_not_say_its_range_is_full() -> None:
    assert grey_curve("gray", ColorRange.UNSPECIFIED, False) is None
    assert grey_curve("grayf32le", ColorRange.MPEG, True) is None
    assert grey_curve("yuv420p", ColorRange.MPEG, False) is None


@pytest.mark.parametrize(
    "output",
    [["--codec", "prores", "-o", "out.mov"], ["--codec", "h264", "-o", "out.mp4"]],
    ids=str,
)
def test_full_range_comes_out_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: list[str]
) -> None:
    """ProRes cannot say that its range is full: 245 was shown as 255."""
    monkeypatch.chdir(tmp_path)
    clip = make(tmp_path / "in.mkv", [10, 60, 180, 245], "yuv420p", "ffv1", ColorRange.JPEG)
    assert bars(clip, 4) == pytest.approx([10, 60, 180, 245], abs=1)
    command = ["render", str(clip), "--rules", "fire", "--opacity", "0", "--cell", "8", "--steps",
               "1", "--warmup", "1", "--quiet", *output]  # fmt: skip
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.stderr
    assert bars(tmp_path / output[-1], 4) == pytest.approx([10, 60, 180, 245], abs=2)
