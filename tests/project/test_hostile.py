"""What becomes of hostile input: every case ends as its table says, in time, and leaves nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile import ffmpeg, make_corpus, source
from patience import PATIENCE, until

pytestmark = pytest.mark.slow

QUICK = ["--rules", "fire,moss", "--steps", "1", "--warmup", "2", "--cell", "8"]
WATCHDOG = 1800  # seconds for the whole corpus, on a machine that is busy with other things
MOST_MEMORY = 1 << 30  # bytes, of any process

UNREADABLE = "not a video that can be read"
DAMAGED = r"the clip is damaged: \d+ frames \(\d+\.\d+ s\) are missing"
ANY_DAMAGE = f"{DAMAGED}|{UNREADABLE}|has no frame to decode|cannot be decoded"
# Frames that are rendered, or why none, or not all, are. What bits are flipped decides how much is
# left: those clips may end either way, in one sentence.
EXPECTED: dict[str, int | str] = {
    "good.mp4": 15,
    "good.mkv": 15,
    "cut1.mp4": UNREADABLE,
    "cut2.mp4": UNREADABLE,
    "cut3.mp4": UNREADABLE,
    "cut1.mkv": ANY_DAMAGE,
    "cut2.mkv": ANY_DAMAGE,
    "cut3.mkv": DAMAGED,
    "wrong-suffix.mp4": 15,
    "empty.mp4": r"is empty \(0 bytes\)",
    "text.mp4": UNREADABLE,
    "noise.mp4": UNREADABLE,
    "playlist.mp4": UNREADABLE,
    "sound-only.mp4": "has sound but no video stream",
    "cover.mp4": "has sound but no video stream",
    "size-changes.mpg": 30,
    "format-changes.mpg": 30,
    "no-container.mpg": 15,
    "no-times.avi": 15,
    "times-go-back.mkv": 15,
    "negative-dts.mp4": 15,
    "edit-list.mp4": 11,
    "one-pixel.mkv": 15,
    "very-wide.mp4": 3,
    "slow.mp4": 3,
    "fast.mp4": 24,
    "hdr.mkv": 15,
    "interlaced.mpg": 7,
    "turned.mp4": 15,
    "alpha.mov": 15,
    "palette.gif": 15,
    "palette.mov": 15,
    "motion-jpeg.avi": 15,
    "loop-a.mp4": "Too many levels of symbolic links",
    "loop-b.mp4": "Too many levels of symbolic links",
    "gone.mp4": "No such file",
    "pipe.mp4": "not a regular file",
}
NAMED = 7  # good clips with hard names
# A process counts as at least as large as the one that started it was then: the tests' own may be
# larger than any of these, a fresh one is not.
MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
open("peak", "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
sys.exit(code)
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Render the corpus once; return the report by clip, and the output folder."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "in").mkdir()
    make_corpus(folder / "in")
    command = [sys.executable, "-m", "ncavideo", "batch", "in", "--out-dir", "out", *QUICK,
               "--workers", "2", "--retries", "0", "--json", "--quiet"]  # fmt: skip
    measured = [sys.executable, "-c", MEASURED, *command]
    done = subprocess.run(measured, cwd=folder, capture_output=True, timeout=WATCHDOG)
    assert done.returncode == 1, done.stderr
    assert b"Traceback" not in done.stderr
    report = json.loads(done.stdout)
    return {Path(job["clip"]).name: job for job in report["jobs"]}, folder / "out"


@pytest.mark.parametrize("name", EXPECTED)
def test_each_case_ends_as_it_should(name: str, outcome: tuple[dict[str, Any], Path]) -> None:
    job, expected = outcome[0][name], EXPECTED[name]
    if isinstance(expected, int):
        assert (job["state"], job["frames"], job["reason"]) == ("done", expected, "")
    else:
        assert job["state"] == "failed"
        assert re.search(expected, job["reason"]), job["reason"]
        assert "\n" not in job["reason"]


def test_flipped_bits_are_rendered_or_told(outcome: tuple[dict[str, Any], Path]) -> None:
    flipped = [job for name, job in outcome[0].items() if name.startswith("flipped")]
    assert len(flipped) == 6
    for job in flipped:
        assert job["state"] == "done" or re.search(ANY_DAMAGE, job["reason"]), job["reason"]


def test_any_name_will_do(outcome: tuple[dict[str, Any], Path]) -> None:
    jobs, out = outcome
    named = [j for name, j in jobs.items() if name not in EXPECTED and "flipped" not in name]
    assert len(named) == NAMED
    assert all((job["state"], job["frames"]) == ("done", 15) for job in named)
    assert (out / 'it\'s "quoted" $(x) `y`.fire-moss.mp4').exists()
    assert (out / "new\nline.fire-moss.mp4").exists()


def test_nothing_is_left(outcome: tuple[dict[str, Any], Path]) -> None:
    """No partial file, and an output only where something could be decoded."""
    jobs, out = outcome
    hidden = [p.name for p in out.iterdir() if p.name.startswith(".")]
    assert [n for n in hidden if not n.startswith(".ncavideo-batch")] == []
    outputs = sum(not p.name.startswith(".") for p in out.iterdir())
    assert outputs == sum(job["frames"] > 0 for job in jobs.values())
    assert 1 << 26 < int((out.parent / "peak").read_text()) < MOST_MEMORY


def test_a_file_that_is_still_growing(tmp_path: Path) -> None:
    """It is rendered as far as it goes."""
    clip = tmp_path / "growing.mkv"
    command = ["ffmpeg", "-v", "error", "-re", *source(length=20), "-g", "5", "-flush_packets", "1",
               "-cluster_time_limit", "200", str(clip)]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        until(
            lambda: clip.exists() and clip.stat().st_size > 20_000,
            "20 kB of a growing clip",
            process=process,
        )
        render = [sys.executable, "-m", "ncavideo", "render", clip, "-o", tmp_path / "o.mp4"]
        done = subprocess.run(
            [str(a) for a in [*render, *QUICK]], capture_output=True, timeout=PATIENCE, text=True
        )
    finally:
        process.kill()
        process.wait()
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode == 0:
        assert (tmp_path / "o.mp4").stat().st_size > 0


def test_a_clip_that_cannot_be_read(tmp_path: Path) -> None:
    clip = tmp_path / "secret.mp4"
    ffmpeg(*source(), clip)
    clip.chmod(0)
    try:
        clip.open("rb").close()
        pytest.skip("whoever runs this may read everything")
    except PermissionError:
        pass
    command = [sys.executable, "-m", "ncavideo", "render", str(clip), *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "permissions" in done.stderr
