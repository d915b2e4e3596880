"""A part of a clip keeps its chapters, and the subtitle on screen where it begins."""

from __future__ import annotations

import itertools
import json
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import QUICK, ffmpeg

from ncavideo.video.cut import cut_chapters
from ncavideo.video.open_writer import open_writer
from ncavideo.video.reader import VideoReader

LINES = [(0.2, 0.8, "gone"), (0.9, 2.5, "on screen"), (2.6, 2.8, "next"), (2.9, 3.6, "last")]
CHAPTERS = [(0, 1000, "One"), (1000, 2500, "Two"), (2500, 4000, "Three")]


def stamp(seconds: float) -> str:
    return f"00:00:{int(seconds):02},{round(seconds % 1 * 1000):03}"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    words, chapters = folder / "words.srt", folder / "chapters.txt"
    words.write_text("\n".join(
        f"{n}\n{stamp(begin)} --> {stamp(end)}\n{text}\n"
        for n, (begin, end, text) in enumerate(LINES, 1)
    ))  # fmt: skip
    chapters.write_text(";FFMETADATA1\n" + "".join(
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={begin}\nEND={end}\ntitle={title}\n"
        for begin, end, title in CHAPTERS
    ))  # fmt: skip
    for suffix, codec in ((".mkv", "srt"), (".mp4", "mov_text")):
        ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=4", "-f", "lavfi", "-i",
               "sine=duration=4", "-i", words, "-i", chapters, "-map", 0, "-map", 1, "-map", 2,
               "-map_metadata", 3, *QUICK, "-g", 10, "-c:a", "aac", "-c:s", codec,
               folder / f"in{suffix}")  # fmt: skip
    return folder


def probe(path: Path, *arguments: str) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-of", "json", *arguments, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def lines(path: Path) -> list[tuple[float, float, str]]:
    """Return when each subtitle is shown, for how long, and its text."""
    run = subprocess.run(
        ["ffmpeg", "-v", "error", "-copyts", "-i", str(path), "-map", "0:s:0", "-f", "srt", "-"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = []
    for block in run.stdout.strip().split("\n\n"):
        _, times, text = block.split("\n", 2)
        begin, end = (
            sum(float(v.replace(",", ".")) * 60**n for n, v in enumerate(reversed(t.split(":"))))
            for t in times.split(" --> ")
        )
        found.append((begin, end, text))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("target", [".mkv", ".mp4"])
@pytest.mark.parametrize("lead", [0.0, -0.4])
def test_a_part_keeps_what_belongs_to_it(
    suffix: str, target: str, lead: float, clips: Path, tmp_path: Path
) -> None:
    if suffix != target:
        pytest.skip("no container holds the other's subtitles as they are")
    out = tmp_path / f"out{target}"
    with (
        VideoReader(clips / f"in{suffix}", start=2.0, duration=1.2) as reader,
        open_writer(out, reader, lead=lead) as writer,
    ):
        for frame in reader:
            writer.write(frame.rgb, frame.pts, frame.duration)
        writer.close()
    found = lines(out)
    assert [text for *_, text in found] == ["on screen", "next", "last"]
    times = [(0, 0.5), (0.6, 0.8), (0.9, 1.2)]
    for (begin, end, _), expected in zip(found, times, strict=True):
        assert (begin + lead, end + lead) == pytest.approx(expected, abs=0.03)
    chapters = [
        (float(c["start_time"]), float(c["end_time"]), c["tags"]["title"])
        for c in probe(out, "-show_chapters")["chapters"]
    ]
    assert [title for *_, title in chapters] == ["Two", "Three"]
    # MP4's first chapter begins with the file.
    first = 0 if target == ".mp4" else -lead
    assert chapters[0][:2] == pytest.approx((first, 0.5 - lead), abs=0.03)
    assert chapters[1][:2] == pytest.approx((0.5 - lead, 1.2 - lead), abs=0.03)
    frames = probe(out, "-select_streams", "v", "-show_entries", "packet=pts_time")["packets"]
    assert min(float(p["pts_time"]) for p in frames) == pytest.approx(-lead, abs=2e-3)


@given(
    bounds=st.lists(st.integers(0, 100), min_size=2, max_size=8, unique=True).map(sorted),
    origin=st.integers(-50, 50),
    begin=st.integers(0, 100),
    length=st.integers(1, 50),
)
def test_chapters_are_those_of_the_part(
    bounds: list[int], origin: int, begin: int, length: int
) -> None:
    chapters = [
        {"id": n, "start": a + origin, "end": b + origin, "time_base": Fraction(1), "metadata": {}}
        for n, (a, b) in enumerate(itertools.pairwise(bounds))
    ]
    zero, shift = Fraction(origin), Fraction(begin)
    found = cut_chapters(chapters, zero, shift, (begin, begin + length))
    covered = {t for c in found for t in range(c["start"], c["end"])}
    inside = range(max(bounds[0], begin), min(bounds[-1], begin + length))
    assert covered == {t - begin for t in inside}
    assert all(0 <= c["start"] < c["end"] <= length for c in found)
    assert cut_chapters(chapters, Fraction(0), Fraction(0), None) == chapters
