"""What a terminal shows while a command is at work: phases from the first second, then a bar."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from click.testing import CliRunner

from ncavideo.cli.main import main
from ncavideo.util.events import event, listening, phase

pytestmark = pytest.mark.slow

NCAVIDEO = [sys.executable, "-m", "ncavideo"]


def clip(path: Path) -> Path:
    make = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=1", str(path)]
    subprocess.run(make, check=True)
    return path


def on_a_terminal(words: list[str], folder: Path) -> str:
    """What a command writes to a terminal, in a process of its own."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 100))
    with subprocess.Popen([*NCAVIDEO, *words], stdout=its, stderr=its, cwd=folder) as begun:
        os.close(its)
        said = _until_closed(ours)
    os.close(ours)
    assert begun.returncode == 0, said
    return said.decode("utf-8", "replace")


def _until_closed(terminal: int) -> bytes:
    """All that is written to a terminal until its other end is closed."""
    said = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # so Linux says that it is closed
            return said
        if not piece:
            return said
        said += piece


def in_order(text: str, *parts: str) -> None:
    place = 0
    for part in parts:
        found = text.find(part, place)
        assert found >= 0, (part, text)
        place = found


def test_a_render_names_its_phases_and_then_counts(tmp_path: Path) -> None:
    clip(tmp_path / "in.mp4")
    said = on_a_terminal(["render", "in.mp4", "--rules", "fire", "-o", "o.mp4"], tmp_path)
    phases = [f"render: {name} [" for name in ("starting", "survey of the clip")]
    in_order(said, *phases, "render: compiling the step [", "render: warm-up [", "/5 [", "o.mp4:")


def test_a_still_counts_steps(tmp_path: Path) -> None:
    words = ["still", "--rules", "fire", "--size", "32x32", "--steps", "16", "-o", "o.png"]
    in_order(
        on_a_terminal(words, tmp_path), "compiling the step", "/16 [", "step/s", "o.png: 32x32"
    )


def test_a_gallery_counts_rule_sets(tmp_path: Path) -> None:
    said = on_a_terminal(["gallery", "tiny", "--out-dir", "site"], tmp_path)
    in_order(said, "gallery: starting", "1/1 [", "index.html")


def test_without_a_terminal_there_are_no_phases(tmp_path: Path) -> None:
    clip(tmp_path / "in.mp4")
    done = subprocess.run(
        [*NCAVIDEO, "render", "in.mp4", "--rules", "fire", "--warmup", "2"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "starting" not in done.stderr and "warm-up" not in done.stderr
    assert "/5 [" in done.stderr


def test_phases_reach_whoever_listens_and_nobody_after() -> None:
    heard: list[object] = []
    with listening("phase", lambda facts: heard.append(facts["name"])):
        phase("warm-up")
        event("render.done", name="not a phase")
    phase("survey")
    assert heard == ["warm-up"]


def test_several_clips_are_a_batch_with_the_same_options(tmp_path: Path) -> None:
    words = ["render", "a.mp4", "b c.mov", "--rules", "fire,moss", "--no-flow", "--shade", "0.7"]
    words += ["--control", "fire=motion", "-o", "out/x.mp4", "--format", "nut"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    line = done.stderr.partition("batch takes several: ")[2].strip()
    assert shlex.split(line)[:5] == ["ncavideo", "batch", "a.mp4", "b c.mov", "--out-dir"]
    # It is a batch that would do: it names the same outputs.
    for name in ("a.mp4", "b c.mov"):
        clip(tmp_path / name)
    listed = subprocess.run(
        [*NCAVIDEO, *shlex.split(line)[1:], "--dry-run"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "b c.fire-moss.mov" in listed.stdout
    for asked in ("--no-flow", "--shade 0.7", "--control fire=motion", "--out-dir out"):
        assert asked in line
    assert "--format" not in line  # a batch has no standard output


@pytest.mark.train
def test_ctrl_c_in_training_says_where_it_was_saved_and_how_to_go_on(tmp_path: Path) -> None:
    from PIL import Image

    picture = Path(__file__).parents[2] / "examples" / "styles" / "moss.png"
    with Image.open(picture) as image:
        image.convert("RGB").resize((64, 64)).save(tmp_path / "moss.png")
    words = ["train", "--rule", "moss", "--style", "moss.png", "-o", "mine.safetensors"]
    words += ["--size", "32", "--iterations", "5000", "--folder", "run"]
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 150))
    with subprocess.Popen([*NCAVIDEO, *words], cwd=tmp_path, stdout=its, stderr=its) as begun:
        os.close(its)
        said = b""
        while b"/5000 [" not in said:
            said += os.read(ours, 1024)
        begun.send_signal(signal.SIGINT)
        rest = _until_closed(ours)
    os.close(ours)
    assert begun.returncode == 130
    in_order(said.decode(), "loading the style pictures", "loading VGG", "first iteration")
    last = rest.decode().rpartition("ncavideo: ")[2].strip()
    assert last.startswith("interrupted: iteration ")
    assert "of 5000 is saved in run; the same command goes on from there" in last
