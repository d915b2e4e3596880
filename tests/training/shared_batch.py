"""A few iterations of several trainings, by one of the processes that share each batch.

    python shared_batch.py RANK SIZE MEETING OUTPUT

Writes what came of them to OUTPUT, for `test_data_parallel`. `SIZE` 1 has the batches to itself.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from random_vgg import random_vgg
from torch import Tensor
from whole_samples import whole_samples

from ncavideo.nca.model import Edge
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.process_group import ALONE, ProcessGroup
from ncavideo.training.progress import Progress
from ncavideo.training.recipe import (
    ModelRecipe,
    MotionRecipe,
    Recipe,
    RuleRecipe,
    TrainingRecipe,
)
from ncavideo.training.share import Share
from ncavideo.training.style import StyleLoss
from ncavideo.training.text import TextGuide, cut_outs
from ncavideo.training.trainer import Trainer

CPU = torch.device("cpu")
STEPS = 2  # iterations of each training


class Guide(TextGuide):
    """Wants cut-outs to be of one brightness."""

    name = "a test's"

    def __call__(
        self, rgb: Tensor, rule: Tensor, edge: Edge, generator: torch.Generator | None = None,
        share: Share | None = None,
    ) -> Tensor:  # fmt: skip
        parts = cut_outs(rgb, 2, 16, edge, generator, share=share)
        return (parts - 0.3).square().mean((1, 2, 3)).view(-1, 2).mean(1)


def recipe(model: dict[str, Any] | None = None, metric: str = "", **training: Any) -> Recipe:
    loop: dict[str, Any] = {
        "iterations": 50, "size": 32, "batch": 3, "pool": 4, "steps": (9, 12), "patch": 48,
        "long_rollout_probability": 0.6, "long_rollout_steps": 3, "precision": "float32",
        "damage": 0.3,
    }  # fmt: skip
    loss = LossRecipe(metric or "sliced-wasserstein", colour=2.0, form=2.0, stillness_from=0.0)
    rules = (
        RuleRecipe("fire", prompt=("a flame",)),
        RuleRecipe("moss", motion=MotionRecipe(30, 0.25)),
    )
    made = ModelRecipe(channels=5, hidden=8, **(model or {}))
    return Recipe("shared", rules, made, TrainingRecipe(**(loop | training)), loss, seed=3)


def trainings(group: ProcessGroup) -> Iterator[tuple[str, Any]]:
    """Yield each training's name, and what makes its trainer."""
    generator = torch.Generator().manual_seed(1)
    pictures = [torch.rand(3, 40, 40, generator=generator) * bright for bright in (1.0, 0.7)]

    def make(of: Recipe, guide: TextGuide | None = None) -> Trainer:
        trainer = Trainer(
            of, StyleLoss(random_vgg(), pictures, of.loss.metric), CPU, guide, group=group
        )
        trainer.started_from = {"name": "ripe from the first iteration on"}
        with torch.no_grad():
            trainer.nca.update.w2.normal_(0, 0.1)
            if trainer.decoder is not None:
                trainer.decoder.w2.normal_(0, 0.2)
        return trainer

    yield "style", lambda: make(recipe())
    yield "decoder", lambda: make(recipe({"decoder": 6, "pixels": 2}, batch=2))
    yield "guide", lambda: make(recipe(metric="gram", mixed=0.0), Guide())
    if importlib.util.find_spec("triton") is not None:
        yield "fused", lambda: with_kernels(make(recipe(batch=2, steps=(2, 3))), group)
        drawn = recipe({"decoder": 6, "pixels": 2}, batch=2, steps=(2, 3))
        yield "fused decoder", lambda: with_kernels(make(drawn), group)


def with_kernels(trainer: Trainer, group: ProcessGroup) -> Trainer:
    """Have the trainer's kernels interpreted, a sample at a time."""
    from ncavideo.training.gpu import buffers, iteration

    buffers.plan_of = whole_samples(buffers.plan_of)
    trainer._fused = iteration.FusedIteration(
        trainer.nca, trainer.optimiser, trainer.curriculum, trainer.style, None, torch.float32,
        group, trainer.patches,
    )  # fmt: skip
    trainer._has_chosen = True
    return trainer


def state_of(trainer: Trainer) -> dict[str, Any]:
    """Return the trainer's state as it comes back from a file."""
    file = io.BytesIO()
    torch.save(trainer.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def step(trainer: Trainer) -> Progress:
    """Take an iteration, as rank 0 tells the others to."""
    if trainer.group.rank:
        next(trainer.group.orders())
    return trainer.step()


def taken(make: Any) -> dict[str, Any]:
    """Take the iterations and, if several do, the last again from the checkpoint before it."""
    trainer, news, gradients, before = make(), [], [], {}
    for _ in range(STEPS):
        before = state_of(trainer)
        news.append(dataclasses.asdict(step(trainer)) | {"seconds": 0.0})
        gradients.append([p.grad.clone() for p in trainer._parameters])
    found = {"news": news, "gradients": gradients, "state": state_of(trainer)}
    if trainer.group is not ALONE:
        again = make()
        again.load_state_dict(before)
        step(again)
        found["again"] = state_of(again)
    return found


def main() -> None:
    rank, size = int(sys.argv[1]), int(sys.argv[2])
    os.environ["TRITON_INTERPRET"] = "1"
    torch.set_num_threads(1)
    group = ALONE if size == 1 else ProcessGroup.join(rank, size, Path(sys.argv[3]), CPU)
    torch.save({name: taken(make) for name, make in trainings(group)}, sys.argv[4])


if __name__ == "__main__":
    main()
