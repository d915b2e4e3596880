"""The contract of every writer: one class, run over clips, GIFs and numbered pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from ncavideo.util.errors import UserError
from ncavideo.video.open_writer import open_writer
from ncavideo.video.reader import VideoReader
from ncavideo.video.writer import Writer

COUNT, HEIGHT, WIDTH = 5, 24, 32
OUTPUTS = ("out.mp4", "out.mkv", "out.mov", "out.webm", "out.gif", "out_%03d.png")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[VideoReader]:
    path = tmp_path / "source" / "in.mp4"
    path.parent.mkdir()
    with av.open(str(path), "w") as clip:
        stream = clip.add_stream("libx264", 25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures():
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        clip.mux(stream.encode(None))
    with VideoReader(path) as reader:
        yield reader


@pytest.fixture(params=OUTPUTS)
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made" / request.param


def pictures() -> list[np.ndarray]:
    return [np.full((HEIGHT, WIDTH, 3), 20 + 40 * n, np.uint8) for n in range(COUNT)]


def write_all(writer: Writer, source: VideoReader) -> None:
    for frame in source:
        writer.write(frame.rgb, frame.pts)


def brightness(output: Path) -> list[float]:
    """Return the mean of every frame that was written."""
    files = sorted(output.parent.glob("*.png")) if "%" in output.name else [output]
    found = []
    for file in files:
        with av.open(str(file)) as clip:
            found += [f.to_ndarray(format="rgb24").mean() for f in clip.decode(video=0)]
    return found


class TestWriterContract:
    def test_the_output_appears_complete_when_it_is_closed(
        self, output: Path, source: VideoReader
    ) -> None:
        with open_writer(output, source) as writer:
            write_all(writer, source)
            assert not [path for path in output.parent.iterdir() if path.name[0] != "."]
            writer.close()
        found = brightness(output)
        np.testing.assert_allclose(found, [p.mean() for p in pictures()], atol=6)
        assert not [path for path in output.parent.iterdir() if path.name[0] == "."]

    def test_nothing_is_left_of_an_unfinished_output(
        self, output: Path, source: VideoReader
    ) -> None:
        with open_writer(output, source) as writer:
            write_all(writer, source)
        assert list(output.parent.iterdir()) == []

    def test_an_existing_output_is_kept_unless_told(
        self, output: Path, source: VideoReader
    ) -> None:
        first = Path(str(output).replace("%03d", "001"))
        first.write_bytes(b"mine")
        with pytest.raises(UserError, match="--overwrite"):
            open_writer(output, source)
        assert first.read_bytes() == b"mine"
        with open_writer(output, source, overwrite=True) as writer:
            write_all(writer, source)
            assert first.read_bytes() == b"mine"
            writer.close()
        assert len(brightness(output)) == COUNT

    def test_a_folder_that_is_not_there_is_one_sentence(
        self, output: Path, source: VideoReader
    ) -> None:
        with pytest.raises(UserError, match="no folder") as caught:
            open_writer(output.parent / "missing" / output.name, source)
        assert "\n" not in str(caught.value)
