"""The page about containers: each of its cells, written to the end and compared by ffprobe."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest

from ncavideo.video.open_writer import open_writer
from ncavideo.video.pyav import open_input
from ncavideo.video.reader import VideoReader

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "make_containers.py"))
CODECS = [row[0] for row in (*SCRIPT["SOUNDS"], *SCRIPT["SUBTITLES"])]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = SCRIPT["make_clips"](tmp_path_factory.mktemp("containers"))
    return {name: clip for clips in made.values() for name, clip in clips}


@pytest.fixture(scope="module")
def page() -> dict[str, dict[str, str]]:
    """The page's cells: by codec, then by container."""
    cells = {}
    for line in (DOCS / "containers.md").read_text("utf-8").splitlines():
        name, *found = (part.strip() for part in line.strip("|").split("|"))
        if len(found) == len(SCRIPT["CONTAINERS"]) and name in CODECS:
            cells[name] = dict(zip(SCRIPT["CONTAINERS"], found, strict=True))
    return cells


def contents(path: Path) -> list[tuple[str, bytes]]:
    """Return codec and bytes of a file's sound or subtitles, however they lie in packets."""
    with open_input(str(path)) as container:
        found = {
            stream.index: stream.codec_context.codec.canonical_name
            for stream in container.streams
            if stream.type in ("audio", "subtitle")
        }
        data = dict.fromkeys(found, b"")
        for packet in container.demux():
            if packet.stream_index in data:
                data[packet.stream_index] += bytes(packet)
    return [(found[index], data[index]) for index in found]


def kinds(path: Path) -> list[str]:
    """Return what ffprobe says of a file's streams."""
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0"]
    run = subprocess.run([*command, str(path)], check=True, capture_output=True, text=True)
    return run.stdout.split()


@pytest.mark.parametrize("suffix", SCRIPT["CONTAINERS"])
@pytest.mark.parametrize("codec", CODECS)
def test_a_cell_of_the_page(
    codec: str,
    suffix: str,
    clips: dict[str, Path],
    page: dict[str, dict[str, str]],
    tmp_path: Path,
) -> None:
    clip, out = clips[codec], tmp_path / f"out{suffix}"
    with VideoReader(clip) as reader, open_writer(out, reader) as writer:
        for frame in reader:
            writer.write(frame.rgb, frame.pts, frame.duration)
        writer.close()
        told = [note for note in writer.notes if "stream in" in note and "left out" in note]
    assert len(told) == (page[codec][suffix] == "left out")
    assert len(kinds(out)) == (1 if told else 2)
    if told:
        assert contents(out) == []
        return
    ((name, data),), ((same, copied),) = contents(clip), contents(out)
    # In MP4 MP2 and MP3 have one number.
    assert same == name or (name, same) == ("mp2", "mp3")
    # Both have a header before each packet in MPEG's containers, or samples where nothing is shown.
    assert copied == data or codec in ("DVB", "QuickTime text")
