"""RGB to yuv420p."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ncavideo.video import planes
from ncavideo.video.colour import RESAMPLING

MATRICES = [
    Colorspace.ITU709, Colorspace.ITU601, Colorspace.FCC, Colorspace.SMPTE240M, Colorspace.BT2020
]  # fmt: skip
RANGES = [ColorRange.MPEG, ColorRange.JPEG]
even = st.integers(1, 20).map(lambda half: 2 * half)
pictures = arrays.arrays(np.uint8, st.tuples(even, even, st.just(3)))


def planes_of(frame: av.VideoFrame) -> list[np.ndarray]:
    """Return a frame's planes without what pads their rows."""
    return [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    ]


def by_swscale(rgb: np.ndarray, matrix: Colorspace, target: ColorRange) -> list[np.ndarray]:
    frame = VideoReformatter().reformat(
        av.VideoFrame.from_ndarray(rgb, "rgb24"), format="yuv420p", src_colorspace=matrix,
        dst_colorspace=matrix, src_color_range=ColorRange.JPEG, dst_color_range=target,
        interpolation=RESAMPLING,
    )  # fmt: skip
    return planes_of(frame)


@given(pictures, st.sampled_from(MATRICES), st.sampled_from(RANGES))
def test_planes_are_what_the_standard_says(
    rgb: np.ndarray, matrix: Colorspace, target: ColorRange
) -> None:
    height, width = rgb.shape[:2]
    red, blue = planes._WEIGHTS[matrix]
    colours = rgb.astype(float)
    luma = colours @ [red, 1 - red - blue, blue]
    small = colours.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
    grey = small @ [red, 1 - red - blue, blue]
    differences = (small[..., 2] - grey) / (2 - 2 * blue), (small[..., 0] - grey) / (2 - 2 * red)
    black, white, middle = (0, 1, 1) if target == ColorRange.JPEG else (16, 219 / 255, 224 / 255)
    wanted = [black + white * luma, *(128 + middle * value for value in differences)]
    found = planes_of(planes.to_planes(rgb, matrix, target))
    for plane, exact in zip(found, wanted, strict=True):
        assert plane.shape == exact.shape
        assert abs(plane - np.minimum(exact, 255)).max() <= 0.501


@pytest.mark.parametrize("target", RANGES)
@pytest.mark.parametrize("matrix", MATRICES)
def test_a_smooth_picture_is_as_swscale_makes_it(matrix: Colorspace, target: ColorRange) -> None:
    row, column = np.mgrid[:96, :160]
    rgb = np.stack([row * 2, column, 255 - row - column // 2], -1).clip(0, 255).astype(np.uint8)
    found = planes_of(planes.to_planes(rgb, matrix, target))
    for plane, other in zip(found, by_swscale(rgb, matrix, target), strict=True):
        # swscale's full-range chroma is half a level too low.
        assert abs(plane.astype(int) - other).max() <= 2
        assert abs((plane.astype(int) - other).mean()) < 0.7


@pytest.mark.parametrize("target", RANGES)
@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
def test_grey_has_no_colour(level: int, target: ColorRange) -> None:
    rgb = np.full((32, 48, 3), level, np.uint8)
    luma, blue, red = planes_of(planes.to_planes(rgb, Colorspace.ITU709, target))
    assert (luma == luma[0, 0]).all()
    assert (blue == 128).all() and (red == 128).all()


def test_what_has_another_form_is_left_to_swscale() -> None:
    rgb = np.zeros((4, 6, 3), np.uint8)
    assert planes.takes(rgb, "yuv420p", Colorspace.ITU709)
    for other in (rgb[:3], rgb[:, :5], rgb.astype(np.uint16), np.zeros((4, 6, 4), np.uint8)):
        assert not planes.takes(other, "yuv420p", Colorspace.ITU709)
    assert not planes.takes(rgb, "yuv444p", Colorspace.ITU709)


def test_a_grey_clip_of_full_range_stays_grey(tmp_path: Path) -> None:
    import ncavideo

    clip, out = tmp_path / "grey.mp4", tmp_path / "out.mp4"
    with av.open(str(clip), "w") as output:
        stream = output.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.color_range = int(ColorRange.JPEG)
        for pts in range(3):
            frame = av.VideoFrame(64, 48, "yuv420p")
            for plane in frame.planes:
                plane.update(np.full(plane.buffer_size, 128, np.uint8).tobytes())
            frame.pts, frame.color_range = pts, ColorRange.JPEG
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    ncavideo.render(clip, rules=("fire",), out=out, opacity=0, steps=1, warmup=0, crf=1)
    with av.open(str(out)) as container:
        for frame in container.decode(video=0):
            assert frame.color_range == ColorRange.JPEG
            for plane in planes_of(frame)[1:]:
                assert abs(plane.astype(int) - 128).max() == 0
