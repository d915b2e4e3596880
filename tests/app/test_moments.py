"""Stills and clips of a moment, and what a browser plays."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from ncavideo.app import html, preview_process
from ncavideo.app.motion_job import MotionJob
from ncavideo.app.turn_queue import TurnQueue
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow


def make(path: Path, *arguments: str) -> Path:
    subprocess.run(["ffmpeg", "-v", "error", *arguments, str(path)], check=True)
    return path


def test_every_moment_of_any_clip_can_be_seen(tmp_path: Path) -> None:
    test = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=2", "-pix_fmt", "yuv420p")
    # A screen that stood still: a frame near the end is held for eight seconds.
    held = make(
        tmp_path / "held.mkv", *test, "-vf", "setpts='if(gte(N,18),8.2+N/10,N/10)/TB'",
        "-fps_mode", "vfr", "-c:v", "mjpeg",
    )  # fmt: skip
    seconds = preview_process.facts(held).seconds
    assert seconds > 9
    options = RenderOptions(("fire",), warmup=0)
    found = {}
    for at in (0.5, 6.0, seconds):
        (tmp_path / f"{at}").mkdir()
        found[at] = preview_process.moment(held, options, at, tmp_path / f"{at}")[
            "source"
        ].read_bytes()
    assert len(set(found.values())) == 3
    # What never learnt its own length: a live recording, and a bare stream.
    live = make(tmp_path / "live.webm", *test, "-c:v", "libvpx", "-live", "1")
    bare = make(tmp_path / "bare.h264", *test, "-c:v", "libx264")
    assert preview_process.facts(live).seconds == pytest.approx(2, abs=0.15)
    facts = preview_process.facts(bare)  # which says no rate either
    assert facts.seconds == pytest.approx(20 / facts.rate)


def test_a_moment_in_motion(tmp_path: Path) -> None:
    test = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=3", "-pix_fmt", "yuv420p")
    clip = make(tmp_path / "a.mp4", *test)
    options = RenderOptions(("fire",), warmup=50)
    preview_process._grids.clear()
    still = preview_process.moment(clip, options, 0.5, tmp_path)
    assert len(preview_process._grids) == 1
    told = [preview_process.motion(tmp_path, (clip, options, 0.5))]
    while told[-1] is not None:
        told.append(preview_process.motion(tmp_path))
    assert preview_process._motions == {}
    assert all(news[1] == 20 for news in told if news is not None and news[0] < 21)
    with av.open(str(tmp_path / "motion.mp4")) as made:
        stream = made.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 128, 48)
        assert stream.codec_context.pix_fmt == "yuv420p"
        frames = [frame.to_ndarray(format="rgb24") for frame in made.decode(stream)]
    assert len(frames) == 21  # both ends
    source, result = (np.asarray(Image.open(still[name])) for name in ("source", "result"))
    assert np.abs(frames[0][:, :64].astype(float) - source).mean() < 12
    # It goes on from the still picture's grid, not from a seed of its own.
    begun = np.abs(frames[0][:, 64:].astype(float) - result).mean()
    assert begun < np.abs(frames[-1][:, 64:].astype(float) - result).mean()


def test_a_moment_in_motion_waits_and_is_taken_back(tmp_path: Path) -> None:
    test = ("-f", "lavfi", "-i", "testsrc2=s=640x480:r=25:d=3", "-pix_fmt", "yuv420p")
    clip = make(tmp_path / "a.mp4", *test)
    line, moments = TurnQueue(), preview_process.Moments()
    job = MotionJob(moments, clip, RenderOptions(("fire",)), 0.5, tmp_path, line)
    states = []
    with line.place():
        running = job.run()
        states.append(next(running).state)
    for news in running:
        states.append(news.state)
        if news.state == "rendering":
            job.stop()
    assert (states[0], states[-2:]) == ("waiting", ["rendering", "cancelled"])
    with pytest.raises(UserError, match="crashed"):  # nothing is left of it
        moments.call(preview_process.motion, tmp_path)
    moments.close()


def test_what_a_browser_plays_is_shown(tmp_path: Path) -> None:
    shows = html.before_and_after(tmp_path / "a.MOV", tmp_path / "b.mkv", "2,5")
    assert shows.count("<video") == 1
    assert "a.MOV#t=2,5" in shows
    assert "No browser plays .mkv" in shows
