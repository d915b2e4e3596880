"""What is printed, and where there is nothing to print to: real processes."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE

from ncavideo.nca.ruleset import RuleSet

pytestmark = pytest.mark.slow

NCAVIDEO = [sys.executable, "-m", "ncavideo"]
STILL = ["still", "--rules", "fire=1", "--size", "32x32", "--steps", "2", "-o", "o.png"]


def test_a_rule_sets_texts_do_not_reach_the_terminal(
    tmp_path: Path, make_ruleset: Callable[..., RuleSet]
) -> None:
    made = make_ruleset()
    rule = dataclasses.replace(made.rules[0], style="\x1b[2Jgone", credit="a\nfake: line\x07")
    path = tmp_path / "set.safetensors"
    dataclasses.replace(made, rules=(rule, *made.rules[1:])).save(path)
    shown = subprocess.run([*NCAVIDEO, "presets", "show", path], capture_output=True, text=True)
    assert shown.returncode == 0 and r"style \x1b[2Jgone (a\nfake: line\x07)" in shown.stdout
    missing = subprocess.run(
        [*NCAVIDEO, "presets", "show", "\x1b[2J.safetensors"], capture_output=True, text=True
    )
    assert missing.returncode == 2 and "\x1b" not in missing.stderr


@pytest.mark.parametrize("what", ["render", "still"])
def test_weights_beyond_all_numbers_are_one_sentence(
    tmp_path: Path, make_ruleset: Callable[..., RuleSet], what: str
) -> None:
    made = make_ruleset()
    huge = {name: np.full_like(getattr(made, name), 1e30) for name in ("w1", "w2")}
    dataclasses.replace(made, **huge).save(tmp_path / "set.safetensors")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=32x32:r=5:d=0.4", "in.mp4"],
        check=True, cwd=tmp_path,
    )  # fmt: skip
    render = ["render", "in.mp4", "--rules", "fire", "-o", "o.mp4"]
    words = [*(render if what == "render" else STILL), "--quiet", "--ruleset", "set.safetensors"]
    done = subprocess.run([*NCAVIDEO, *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "beyond all numbers" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_none_to_fail_for(tmp_path: Path, closed: str) -> None:
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=32x32:r=5:d=0.4", "in.mp4"],
        check=True, cwd=tmp_path,
    )  # fmt: skip
    line = f'"$0" -m ncavideo render in.mp4 --rules fire -o o.mp4 {closed}'
    done = subprocess.run(["sh", "-c", line, sys.executable], cwd=tmp_path, check=False)
    assert done.returncode == 0 and (tmp_path / "o.mp4").exists()


def test_an_early_interrupt_is_one_line() -> None:
    for late in (0.1, 0.2, 0.3):
        begun = subprocess.Popen([*NCAVIDEO, "doctor"], stderr=subprocess.PIPE, text=True)
        time.sleep(late)
        begun.send_signal(signal.SIGINT)
        _, said = begun.communicate(timeout=PATIENCE)
        # Before Python runs the first line of __main__.py, it is Python that is interrupted.
        if "__main__.py" in said or "interrupted" in said:
            assert said == "ncavideo: interrupted\n"
            # A shell says 130 of both. Where the signal comes while C code has Python run something
            # (an import does), Python remembers it, and ends by it after all has been handled.
            assert begun.returncode in (130, -signal.SIGINT)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
def test_a_full_disk_for_the_log_is_told_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [*NCAVIDEO, *STILL, "--quiet", "--log-file", "/dev/full"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the log /dev/full cannot be written") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
@pytest.mark.parametrize("words", [[*STILL, "--json", "--quiet"], ["presets", "list", "--json"]])
def test_a_report_without_a_place_is_one_sentence(tmp_path: Path, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*NCAVIDEO, *words], stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
    assert done.returncode == 1
    told = "ncavideo: the report cannot be written to stdout: No space left on device\n"
    assert done.stderr == told
