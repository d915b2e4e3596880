"""Renders that are cut short, for tests of what they leave."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result
from patience import PATIENCE, until

from ncavideo.cli.main import main
from ncavideo.rendering.checkpoint import SEGMENT
from ncavideo.rendering.options import RenderOptions
from ncavideo.video.reader import VideoReader

FRAMES = 2 * SEGMENT + 70
QUICK = ["--rules", "fire,moss", "--steps", "2", "--warmup", "4", "--cell", "4", "--flow"]
TINY = RenderOptions(("fire", "moss"), steps=1, warmup=2, cell=4)


def make_clip(path: Path) -> Path:
    """Make a clip of nearly three segments, small, with sound; return its path."""
    length = FRAMES / 25
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi",
         "-i", f"testsrc2=size=96x64:rate=25:duration={length}", "-f", "lavfi",
         "-i", f"sine=frequency=440:duration={length}", str(path)],
        check=True,
    )  # fmt: skip
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def start(clip: Path, out: Path, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ncavideo", "render", clip, "-o", out, *QUICK, *arguments]
    return subprocess.Popen(
        [str(a) for a in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def segments(folder: Path) -> int:
    return len(list(folder.glob(".*.work/*.packets")))


def cut_short(clip: Path, out: Path, number: int, how: int, *arguments: object) -> None:
    """Start a render and end it once it has closed so many segments."""
    process = start(clip, out, "--quiet", *arguments)
    until(
        lambda: segments(out.parent) >= number,
        f"{number} closed segments",
        lambda: f"{segments(out.parent)} segments",
        process=process,
        every=0.01,
    )
    process.send_signal(how)
    process.communicate(timeout=PATIENCE)
    assert not out.exists()


def pixels(clip: Path) -> list[bytes]:
    with VideoReader(clip) as reader:
        return [frame.rgb.tobytes() for frame in reader]
