"""An iteration with fused kernels is the CPU's: the same loss and gradients on equal draws."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
import torch
from torch import Tensor

from ncavideo.nca.model import Edge
from ncavideo.training.losses import Losses
from ncavideo.training.recipe import (
    LossRecipe,
    ModelRecipe,
    MotionRecipe,
    Recipe,
    RuleRecipe,
    Stage,
    TrainingRecipe,
)
from ncavideo.training.seen import Rollout
from ncavideo.training.share import Share
from ncavideo.training.style import StyleLoss
from ncavideo.training.text import TextGuide
from ncavideo.training.trainer import Trainer
from ncavideo.training.unroll import Firing, unroll
from ncavideo.training.vgg import BLOCKS, USED_CONVOLUTIONS, VGGFeatures

pytestmark = [pytest.mark.gpu, pytest.mark.train, pytest.mark.slow]


def random_vgg() -> VGGFeatures:
    """VGG16's shape with a sixteenth of its features, which are random."""
    generator, layers, before = torch.Generator().manual_seed(0), [], 3
    for count, width in BLOCKS:
        for _ in range(count):
            weight = torch.randn(width // 16, before, 3, 3, generator=generator)
            layers.append((weight * (2 / (9 * before)) ** 0.5, torch.zeros(width // 16)))
            before = width // 16
    half, two = torch.full((3,), 0.5), torch.full((3,), 2.0)
    return VGGFeatures(layers[:USED_CONVOLUTIONS], half, two, True, "random")


@pytest.fixture(scope="module")
def style() -> StyleLoss:
    torch.manual_seed(1)
    return StyleLoss(random_vgg(), [torch.rand(3, 32, 32), torch.rand(3, 40, 32) * 0.7])


@pytest.fixture(autouse=True)
def large_tiles(gpu: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the interpreter take a sample at a time; test_gpu_unroll.py has the tiles of GPUs."""
    from ncavideo.training.gpu import buffers

    plan_of = buffers.plan_of

    def coarse(*given: Any) -> Any:
        plan = plan_of(*given)
        kernels = {
            name: dataclasses.replace(getattr(plan, name), tile=(32, 64))
            for name in ("forward", "back", "weight")
        }
        return dataclasses.replace(plan, **kernels)

    if gpu.type == "cpu":
        monkeypatch.setattr(buffers, "plan_of", coarse)


def small(loss: LossRecipe | None = None, **training: object) -> Recipe:
    loop: dict[str, Any] = {
        "iterations": 8, "size": 32, "batch": 1, "pool": 3, "steps": (2, 2),
        "long_rollout_probability": 0.0, "precision": "float32",
    }  # fmt: skip
    rules = (RuleRecipe("fire"), RuleRecipe("moss", motion=MotionRecipe(30, 0.25)))
    return Recipe(
        "small", rules, ModelRecipe(channels=4, hidden=8),
        TrainingRecipe(**(loop | training)), loss or LossRecipe(), seed=3,
    )  # fmt: skip


def fused(recipe: Recipe, style: StyleLoss, guide: TextGuide | None = None) -> Trainer:
    """Return a trainer that has the kernels interpreted."""
    from ncavideo.training.gpu.iteration import FusedIteration

    trainer = Trainer(recipe, style, torch.device("cpu"), guide)
    trainer._fused = FusedIteration(
        trainer.nca, trainer.optimiser, trainer.curriculum, style, guide, torch.float32
    )
    trainer._has_chosen = True
    with torch.no_grad():
        trainer.nca.update.w2.normal_(0, 0.1)
    return trainer


def by_torch(
    trainer: Trainer, before: list[Tensor], seen: dict[str, Any], loss: LossRecipe
) -> tuple[Tensor, list[Tensor]]:
    """Compute the loss and the normalised gradients of the iteration that `seen` tells of."""
    after = [p.detach().clone() for p in trainer.nca.parameters()]
    b, draw, start = seen["buffers"], seen["draw"], seen["start"]
    with torch.no_grad():
        for parameter, weights in zip(trainer.nca.parameters(), before, strict=True):
            parameter.copy_(weights)
    inputs = torch.cat([b.weights, 2 * b.light[:, None] - 1], 1)
    first, split = int(b.upload.words[1]), draw.steps - draw.last
    edge, seed = draw.edge, trainer.recipe.seed
    middle = unroll(trainer.nca, start, inputs, split, Firing(seed, first, 0.5), edge)
    last = unroll(trainer.nca, middle, inputs, draw.last, Firing(seed, first + split, 0.5), edge)
    rollout = Rollout(
        middle, last, draw.last, b.weights, b.light, draw.rules, b.upload.calm, draw.edge
    )
    torch.set_rng_state(seen["random"])
    losses = Losses(trainer.recipe, trainer.style, trainer.device, trainer.guide)
    terms, _ = losses.terms(loss, rollout, draw.ripe)
    total = torch.stack([getattr(loss, name) * term for name, term in terms.items()]).sum()
    gradients = torch.autograd.grad(total, list(trainer.nca.parameters()))
    with torch.no_grad():
        for parameter, weights in zip(trainer.nca.parameters(), after, strict=True):
            parameter.copy_(weights)
    return total.detach(), [g / (g.norm() + 1e-8) for g in gradients]


def watched(trainer: Trainer, seen: dict[str, Any]) -> None:
    """Have `seen` tell of an iteration what the CPU needs to take it once more."""
    way: Any = trainer._fused
    judge = way._judge

    def look(buffers: Any, draw: Any) -> list[str]:
        start = buffers.states[0].permute(0, 3, 1, 2).clone()
        seen.update(buffers=buffers, draw=draw, start=start, random=torch.get_rng_state())
        return judge(buffers, draw)

    way._judge = look


CASES: list[tuple[Edge, tuple[int, int], LossRecipe]] = [
    ("wrap", (2, 2), LossRecipe()),
    ("reflect", (9, 9), LossRecipe(stillness=50.0, stillness_from=0.0)),
]


@pytest.mark.parametrize(("edge", "steps", "loss"), CASES, ids=["wrap", "reflect"])
def test_loss_and_gradients_are_the_cpus(
    gpu: torch.device, style: StyleLoss, edge: Edge, steps: tuple[int, int], loss: LossRecipe
) -> None:
    """All terms: style, overflow, brightness, corner, stillness, and motion of the second rule."""
    recipe = small(loss, steps=steps, reflect=float(edge == "reflect"), switch_probability=0.0)
    trainer, seen = fused(recipe, style), dict[str, Any]()
    trainer.pool.kinds = ["one rule, flat light"] * len(trainer.pool)
    trainer.pool.weights[:, :, :, :10] = torch.tensor([0.0, 1.0])[:, None, None]
    trainer.pool.weights[:, 0, :, 10:] = 1
    trainer.pool.states.normal_(0, 0.4)
    watched(trainer, seen)
    before = [p.detach().clone() for p in trainer.nca.parameters()]
    progress = trainer.step()
    found = [p.grad.clone() for p in trainer.nca.parameters()]
    assert seen["draw"].edge == edge
    total, gradients = by_torch(trainer, before, seen, loss)
    assert {"style", "overflow", "brightness", "corner", "motion"} < progress.losses.keys()
    assert ("stillness" in progress.losses) == (loss.stillness_from == 0)
    assert progress.losses["total"] == pytest.approx(float(total), rel=1e-5)
    for ours, theirs in zip(found, gradients, strict=True):
        assert float((ours - theirs).norm()) < 1e-5
    for old, new in zip(before, trainer.nca.parameters(), strict=True):
        assert not torch.equal(old, new)
    assert trainer.pool.ages.sum() == steps[0] == trainer.steps_taken


def test_a_guide_and_another_metric_sit_between_the_kernels(
    gpu: torch.device, style: StyleLoss
) -> None:
    class Guide(TextGuide):
        name = "a test's"

        def __call__(
            self, rgb: Tensor, rule: Tensor, edge: Edge, generator: torch.Generator | None = None,
            share: Share | None = None,
        ) -> Tensor:  # fmt: skip
            assert rule.tolist() == [0]
            return rgb.flatten(1).mean(1)

    other = StyleLoss(style.vgg, [torch.rand(3, 32, 32), torch.rand(3, 32, 32)], "gram")
    loss = LossRecipe(metric="gram", text=3.0)
    recipe = small(loss, mixed=0.0, oversample="fire", switch_probability=0.0)
    rules = (dataclasses.replace(recipe.rules[0], prompt=("a flame",)), recipe.rules[1])
    trainer, seen = fused(dataclasses.replace(recipe, rules=rules), other, Guide()), {}
    trainer.pool.kinds, trainer.pool.rules = ["one rule, flat light"] * 3, [0] * 3
    trainer.pool.weights[:, 0] = 1
    watched(trainer, seen)
    before = [p.detach().clone() for p in trainer.nca.parameters()]
    progress = trainer.step()
    found = [p.grad.clone() for p in trainer.nca.parameters()]
    total, gradients = by_torch(trainer, before, seen, loss)
    assert progress.losses["text"] > 0
    assert progress.losses["total"] == pytest.approx(float(total), rel=1e-5)
    for ours, theirs in zip(found, gradients, strict=True):
        assert float((ours - theirs).norm()) < 1e-5


def checkpoint(trainer: Trainer) -> dict[str, Any]:
    """Return the trainer's state as it comes back from a file."""
    file = io.BytesIO()
    torch.save(trainer.state_dict(), file)
    file.seek(0)
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def test_resumed_is_uninterrupted_bit_for_bit(gpu: torch.device, style: StyleLoss) -> None:
    """Through long runs and a stage of another size, which has new buffers."""
    recipe = small(iterations=2, long_rollout_probability=1.0, long_rollout_steps=2)
    later = dataclasses.replace(recipe.training, size=33, pool=2, iterations=1)
    recipe = dataclasses.replace(recipe, stages=(Stage(later, recipe.loss),))
    whole = fused(recipe, style)
    whole.started_from = {"name": "ripe from the first iteration on"}
    whole.step()
    halted = checkpoint(whole)
    news = [whole.step(), whole.step()]
    assert "grown old" in news[0].histories
    resumed = fused(recipe, style)
    resumed.load_state_dict(halted)
    again = [resumed.step(), resumed.step()]
    assert [n.losses for n in news] == [n.losses for n in again]
    assert same(checkpoint(whole), checkpoint(resumed))
    assert whole.pool.states.shape[-1] == 33


def test_a_checkpoint_of_the_other_device_goes_on_and_says_so(
    gpu: torch.device, style: StyleLoss
) -> None:
    """As a GPU's recorded optimiser leaves it: the rate a tensor, the flag set."""
    trainer, notes = fused(small(), style), list[str]()
    trainer.step()
    for group in trainer.optimiser.param_groups:
        group["lr"], group["capturable"] = torch.tensor(group["lr"]), True
    state = checkpoint(trainer) | {"device": "cuda", "cuda": torch.zeros(16, dtype=torch.uint8)}
    plain = Trainer(small(), style, torch.device("cpu"), None, notes.append)
    plain.load_state_dict(state)
    assert plain.step().iteration == 2
    assert len(notes) == 1 and "cuda" in notes[0] and "bit for bit" in notes[0]
    # One of a release before this.
    del state["device"], state["cuda"]
    plain.load_state_dict(state)
    assert len(notes) == 1


def test_a_long_run_is_as_many_steps(gpu: torch.device, style: StyleLoss) -> None:
    from ncavideo.training.gpu.buffers import Buffers
    from ncavideo.training.gpu.launch import words_of
    from ncavideo.training.gpu.long_run import LongRun, live_on
    from ncavideo.training.gpu.recorder import Recorder

    recipe = small(batch=3, steps=(2, 2))
    trainer = fused(recipe, style)
    b = Buffers(trainer.nca, 2, recipe.training, Share.all_of(3), torch.float32, gpu)
    b.states[0].normal_(0, 0.3)
    b.given.uniform_()
    b.given[..., 3], b.states[0, 2, 3, 3, 0] = 1, 9.0  # the bias; a state that is broken
    start, inputs = (t.permute(0, 3, 1, 2).clone() for t in (b.states[0], b.given[..., :3]))
    b.upload.old_words.copy_(torch.tensor(words_of(Firing(3, 11, 0.5))))
    live_on(b, trainer.nca, LongRun([2, 0], [1, 2]), "reflect", Recorder(gpu))
    found = b.states[0].permute(0, 3, 1, 2)
    with torch.no_grad():
        old = unroll(trainer.nca, start[[2, 0]], inputs[[2, 0]], 4, Firing(3, 11, 0.5), "reflect")
    assert torch.equal(found[1], start[1])
    assert not found[2].any()
    torch.testing.assert_close(found[0], old[1], rtol=1e-4, atol=1e-5)
    assert int(b.upload.old_words[1]) == 15


def test_a_loss_that_is_not_finite_is_told(gpu: torch.device, style: StyleLoss) -> None:
    trainer = fused(small(), style)
    trainer.pool.states.normal_(0, 0.3)
    with torch.no_grad():
        trainer.nca.update.b1[0], trainer.nca.update.w2[0, 0] = float("inf"), 1.0
    assert not trainer.step().finite
    # A finite loss whose gradient is not.
    trainer = fused(small(), style)
    way: Any = trainer._fused
    judge = way._judge

    def spoilt(buffers: Any, draw: Any) -> list[str]:
        names: list[str] = judge(buffers, draw)
        buffers.gradients[1][0, 0] = float("nan")  # of more cells than may all be at rest
        return names

    way._judge = spoilt
    assert not trainer.step().finite


def test_kernels_that_fail_leave_the_work_to_torch(
    gpu: torch.device, style: StyleLoss, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = list[str]()
    trainer = fused(small(), style)
    trainer.note = notes.append

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("PTX was compiled with an unsupported toolchain\nand more")

    monkeypatch.setattr("ncavideo.training.gpu.iteration.run_forward", refuse)
    assert trainer.step().finite
    assert not trainer.works_ahead and trainer.step().iteration == 2
    assert len(notes) == 1 and "unsupported toolchain" in notes[0] and "\n" not in notes[0]


def test_too_little_memory_is_no_reason_to_go_on(
    gpu: torch.device, style: StyleLoss, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = fused(small(), style)

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr("ncavideo.training.gpu.iteration.run_forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        trainer.step()
    assert trainer.works_ahead
