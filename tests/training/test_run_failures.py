"""What befalls a run: numbers that are not finite, too little memory, a full disk, SIGTERM."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from patience import PATIENCE, until
from tiny_runs import RECIPE_TEXT, small
from tiny_runs import run_in as go
from torch import Tensor

from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.loggers.folder import LOG, read
from ncavideo.training.progress import Progress
from ncavideo.training.recipe import Recipe
from ncavideo.training.run import CHECKPOINT
from ncavideo.training.style import StyleLoss
from ncavideo.training.trainer import Trainer
from ncavideo.util.errors import OutputError

pytestmark = pytest.mark.train
COMMAND = [sys.executable, "-m", "ncavideo", "train", "tiny.toml", "--device", "cpu"]


class Unlucky(StyleLoss):
    """A style loss that overflows at some iterations' calls."""

    def __init__(self, style: StyleLoss, when: set[int], always: bool = False) -> None:
        self.__dict__.update(vars(style))
        self.when, self.calls, self.always = when, 0, always

    def __call__(self, *args: Any, **options: Any) -> Tensor:
        self.calls += 1
        distance = super().__call__(*args, **options)
        return distance * math.nan if self.always or self.calls in self.when else distance


def unlucky(monkeypatch: pytest.MonkeyPatch, when: set[int], always: bool = False) -> None:
    init = Trainer.__init__

    def make(self: Trainer, recipe: Recipe, style: StyleLoss, *rest: Any) -> None:
        init(self, recipe, Unlucky(style, when, always), *rest)

    monkeypatch.setattr(Trainer, "__init__", make)


@pytest.mark.usefixtures("narrow")
def test_a_loss_that_is_not_finite_goes_back_and_slows_down(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlucky(monkeypatch, {13, 16})
    notes: list[str] = []
    seen: list[int] = []
    ruleset = go(
        small(folder), folder, checkpoint_every=5, note=notes.append,
        report=lambda progress: seen.append(progress.iteration),
    )  # fmt: skip
    # Calls 13 and 16 were iteration 13: the first time, and again after going back to 10.
    assert seen == [*range(1, 13), 11, 12, *range(11, 21)]
    assert len(notes) == 2
    assert "back to iteration 10" in notes[0]
    assert "0.5 times" in notes[0]
    assert "0.25 times" in notes[1]
    for array in (ruleset.w1, ruleset.b1, ruleset.w2):
        assert np.isfinite(array).all()
    lines = read(folder / "run")
    assert [line["event"] for line in lines if "event" in line] == notes
    assert [line["iteration"] for line in lines if "total" in line] == [10, 20]
    state = torch.load(folder / "run" / CHECKPOINT, weights_only=True)
    assert state["slowed"] == 0.25


@pytest.mark.usefixtures("narrow")
def test_a_gradient_that_is_not_finite_counts_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loss is finite; the weights it leaves would not be, nor would the next checkpoint."""
    call = StyleLoss.__call__
    calls = 0

    def steep(self: StyleLoss, rgb: Tensor, *rest: Any, **options: Any) -> Tensor:
        nonlocal calls
        calls += 1
        distance = call(self, rgb, *rest, **options)
        return distance + (0 * rgb.mean((1, 2, 3))).sqrt() if calls == 5 else distance

    monkeypatch.setattr(StyleLoss, "__call__", steep)
    seen: list[int] = []
    ruleset = go(
        small(folder, iterations=8), folder, checkpoint_every=1,
        report=lambda progress: seen.append(progress.iteration),
    )  # fmt: skip
    assert seen == [*range(1, 9)]
    assert calls == 9
    assert np.isfinite(ruleset.w1).all()


@pytest.mark.usefixtures("narrow")
def test_before_the_first_checkpoint_it_goes_back_to_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlucky(monkeypatch, {3})
    seen: list[int] = []
    go(small(folder, iterations=5), folder, report=lambda p: seen.append(p.iteration))
    assert seen == [1, 2, 1, 2, 3, 4, 5]


@pytest.mark.usefixtures("narrow")
def test_it_gives_up_when_nothing_helps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlucky(monkeypatch, set(), always=True)
    with pytest.raises(OutputError, match="again and again"):
        go(small(folder), folder)
    assert not (folder / "out.safetensors").exists()


def test_progress_says_whether_it_can_be_built_on() -> None:
    news = Progress(1, {"total": 1.0}, {}, {}, 0.1)
    assert news.finite
    assert not dataclasses.replace(news, losses={"total": math.inf}).finite
    assert not dataclasses.replace(news, losses={"a": math.nan, "total": 1.0}).finite


@pytest.mark.parametrize(
    ("batch", "error", "said"),
    [
        (2, torch.OutOfMemoryError("CUDA out of memory. Tried"), "`training.batch` from 2 to 1"),
        (1, RuntimeError("DefaultCPUAllocator: not enough memory"), "`training.steps`"),
        (1, MemoryError(), "`training.steps`"),
    ],
)
def test_too_little_memory_says_what_to_lower(
    folder: Path, monkeypatch: pytest.MonkeyPatch, batch: int, error: Exception, said: str
) -> None:
    def step(self: Trainer) -> Progress:
        raise error

    monkeypatch.setattr(Trainer, "begin", step)
    with pytest.raises(OutputError, match=said):
        go(small(folder, batch=batch), folder)


def test_a_pool_that_does_not_fit_is_told_before_the_first_iteration(folder: Path) -> None:
    with pytest.raises(OutputError, match=r"`training\.pool` from 60000 to 30000"):
        go(small(folder, size=1024, pool=60_000), folder)
    with pytest.raises(RuntimeError, match="illegal"):
        raise_in_a_run(folder, RuntimeError("CUDA error: an illegal memory access"))


def raise_in_a_run(folder: Path, error: Exception) -> None:
    def step(self: Trainer) -> Progress:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "begin", step)
        go(small(folder), folder)


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes")
def test_a_full_disk_is_one_sentence(folder: Path) -> None:
    import resource

    (folder / "tiny.toml").write_text(RECIPE_TEXT)
    done = subprocess.run(
        COMMAND,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        # No file may grow beyond 20 kB: for a program, that is a full disk.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert done.returncode == 1, done.stderr
    assert "cannot save the checkpoint" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((folder / "runs").rglob("*.part*"))


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGTERM")
def test_sigterm_saves(folder: Path) -> None:
    (folder / "tiny.toml").write_text(RECIPE_TEXT)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*COMMAND, "--quiet"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    log = folder / "runs" / "tiny" / LOG
    try:
        until(log.exists, "a log", process=process)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    state = torch.load(folder / "runs" / "tiny" / CHECKPOINT, weights_only=True)
    assert state["iteration"] >= 10
    assert state["iteration"] % 100 != 0, "not one of those that are saved anyway"


@pytest.mark.usefixtures("narrow")
def test_off_the_main_thread(folder: Path) -> None:
    """Python takes signals on its main thread only; a notebook or a server trains elsewhere."""
    found: list[RuleSet] = []
    thread = threading.Thread(target=lambda: found.append(go(small(folder, iterations=2), folder)))
    thread.start()
    thread.join(PATIENCE)
    assert found
