"""An iteration of `Trainer` on a GPU: fused kernels, in a few CUDA graphs that are replayed.

The CPU draws what decides (shares, kinds, steps) and sends it over in two copies; all maps are
drawn on the GPU. The parts are conditions and states, now and then a long run, steps forwards, the
loss and its gradient, and steps backwards with the optimiser. The log's numbers are read when the
next iteration is under way.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ncavideo.nca.model import NCA, Edge
from ncavideo.training.curriculum import CALM, LONG_FROM, STILL_STEPS, Curriculum
from ncavideo.training.gpu.buffers import Buffers
from ncavideo.training.gpu.launch import run_backward, run_forward, words_of
from ncavideo.training.gpu.long_run import LongRun, live_on
from ncavideo.training.gpu.recorder import Recorder
from ncavideo.training.gpu.requests import Column, decide
from ncavideo.training.gpu.style import style_distances
from ncavideo.training.gpu.weights import pack, pack_inputs, unpack
from ncavideo.training.likeness import Likeness
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.losses import Losses
from ncavideo.training.pool import Pool, without_broken
from ncavideo.training.process_group import ALONE, ProcessGroup
from ncavideo.training.progress import Taken
from ncavideo.training.recipe import Stage, TrainingRecipe
from ncavideo.training.seen import Patch, Patches, Rollout
from ncavideo.training.share import Share
from ncavideo.training.style import StyleLoss
from ncavideo.training.text import TextGuide
from ncavideo.training.unroll import Firing

SORTED_METRIC = "sliced-wasserstein"  # the only one that is recorded and sorts all maps at once


@dataclass(frozen=True)
class Draw:
    """What the CPU decided about an iteration.

    `last`: the steps between the two states that are judged; `rules`: each sample's rule, None
    where it has two; `patch`: what is judged, where a decoder draws, with its place on the device.
    """

    stage: Stage
    ripe: float
    edge: Edge
    steps: int
    last: int
    long: LongRun
    rules: list[int | None]
    patch: Patch | None


class FusedIteration:
    """Takes iterations with the trainer's network, optimiser and curriculum.

    `operand`: the precision of products forwards. Without a GPU it runs in Triton's interpreter
    (float32 only), for tests. `group`: the processes that share each batch. `patches`: of the
    decoder, if there is one, whose weights follow the network's in the optimiser.
    """

    def __init__(
        self,
        nca: NCA,
        optimiser: torch.optim.Optimizer,
        curriculum: Curriculum,
        style: StyleLoss,
        guide: TextGuide | None,
        operand: torch.dtype,
        group: ProcessGroup = ALONE,
        patches: Patches | None = None,
        likeness: Likeness | None = None,
    ) -> None:
        self.nca, self.optimiser, self.curriculum = nca, optimiser, curriculum
        self.recipe, self.device = curriculum.recipe, curriculum.device
        self.operand, self.guide, self.group = operand, guide, group
        self.patches = patches
        self._drawing = [] if patches is None else list(patches.decoder.parameters())
        self._sorts = self.recipe.loss.metric == SORTED_METRIC
        distances = functools.partial(style_distances, style) if self._sorts else style
        self.losses = Losses(self.recipe, style, self.device, guide, patches, distances, likeness)
        self._replay = Recorder(self.device)
        self._names: dict[Any, list[str]] = {}
        self.forget()

    def forget(self) -> None:
        """Start anew with other tensors: the pool's or the optimiser's have been replaced."""
        self._replay.forget()
        self._pool: Pool | None = None
        self._buffers: Buffers | None = None

    def take(self, pool: Pool, stage: Stage, ripe: float, first_step: int, rate: float) -> Taken:
        """Take an iteration. `first_step`: the clock of the fire mask; `rate`: of learning."""
        r, share = stage.training, self.group.share(min(stage.training.batch, len(pool)))
        buffers = self._ready(pool, r, share)
        chosen = pool.draw(share.whole, self.curriculum.generator).tolist()
        rows, histories = decide(self.curriculum, pool, chosen, r, ripe)
        calm = [float(history == CALM) for history in histories]
        rules = [pool.rules[index] for index in chosen]
        draw, first_cell = self._draw(buffers, stage, ripe, rules)
        for place in draw.long.places:
            histories[place] = "grown old"
        seed, fires = self.recipe.seed, self.recipe.model.fire_rate
        old_steps = draw.long.most * buffers.chunk
        long, of_long = draw.long.of(share)
        words = words_of(Firing(seed, first_step + old_steps, fires, share.first))
        old_words = words_of(Firing(seed, first_step, fires, of_long.first))
        buffers.upload.send(rows, calm, rate, chosen, words, old_words, first_cell)
        self._set_rate(rate)
        self._replay("prepare", None, lambda: self._prepare(buffers, pool))
        if long.places:
            live_on(buffers, self.nca, long, draw.edge, self._replay)
        self._forward(buffers, draw)
        if self.group.size > 1:
            # An exchange with other processes is never recorded: it waits for them.
            buffers.everyone.copy_(self.group.gather(buffers.ends[1], share.whole))
        names = self._judge(buffers, draw)
        self._backward(buffers, draw)
        self._optimise(buffers, pool)
        pool.ages[torch.tensor(chosen)] += draw.steps
        kinds = [pool.kinds[index] for index in chosen]
        numbers = buffers.download.fetch(buffers.numbers[: len(names) + share.whole])
        return Taken(
            [*names[1:], "total"], kinds, histories, old_steps + draw.steps,
            lambda: _total_last(numbers.read(), len(names)),
        )  # fmt: skip

    @property
    def _parameters(self) -> list[torch.nn.Parameter]:
        return [*self.nca.parameters(), *self._drawing]

    def _ready(self, pool: Pool, r: TrainingRecipe, share: Share) -> Buffers:
        """Return the buffers, new ones if the pool or the sizes are new."""
        now = self._buffers
        if now is not None and self._pool is pool and now.fits(r, share):
            return now
        del now  # its memory goes before more is asked for
        self.forget()
        made = Buffers(
            self.nca, self.curriculum.rules, r, share, self.operand, self.device,
            sum(parameter.numel() for parameter in self._drawing),
        )  # fmt: skip
        self._pool, self._buffers = pool, made
        for parameter in self._parameters:
            parameter.grad = torch.zeros_like(parameter)
        self._adopt_optimiser(made.upload.rate)
        return made

    def _adopt_optimiser(self, rate: Tensor) -> None:
        """Have the optimiser run on the GPU alone: its steps' number, and the rate, live there."""
        if self.device.type != "cuda":
            return
        for group in self.optimiser.param_groups:
            group["lr"], group["capturable"] = rate, True
        # torch would warn that the first iteration's step is not recorded.
        self.optimiser._warned_capturable_if_run_uncaptured = True
        for kept in self.optimiser.state.values():
            kept["step"] = kept["step"].to(self.device, torch.float32)

    def _set_rate(self, rate: float) -> None:
        if self.device.type != "cuda":
            for group in self.optimiser.param_groups:
                group["lr"] = rate

    def _draw(
        self, b: Buffers, stage: Stage, ripe: float, rules: list[int | None]
    ) -> tuple[Draw, list[int]]:
        """Return what is decided about the iteration, and the place of the patch, to be sent."""
        curriculum, r = self.curriculum, stage.training
        edge: Edge = "reflect" if curriculum.chance(r.reflect) else "wrap"
        places: list[int] = []
        if ripe > LONG_FROM:
            share = r.long_rollout_probability
            places = [place for place in range(len(rules)) if curriculum.chance(share)]
        lengths = [curriculum.long_steps(r.long_rollout_steps) for _ in places]
        long = LongRun(places, [max(1, steps // b.chunk) for steps in lengths])
        steps = curriculum.steps(r, ripe)
        patch, place = None, [0, 0]
        if self.patches is not None:
            chosen = self.patches.choose(r.size, r.patch, edge)
            patch, place = replace(chosen, place=b.upload.place), chosen.place.tolist()
        draw = Draw(stage, ripe, edge, steps, min(steps, STILL_STEPS), long, rules, patch)
        return draw, place

    def _prepare(self, b: Buffers, pool: Pool) -> None:
        """Make the conditions, note them in the pool, and take the states from there."""
        upload = b.upload
        drawn = b.maps(upload.rows)
        changed = upload.rows[:, Column.CHANGED, None, None] > 0
        kept = pool.weights.index_select(0, upload.index), pool.light.index_select(0, upload.index)
        weights = torch.where(changed[:, None], drawn.weights, kept[0])
        light = torch.where(changed, drawn.light, kept[1])
        pool.weights.index_copy_(0, upload.index, weights)
        pool.light.index_copy_(0, upload.index, light)
        own = b.share.rows
        b.weights.copy_(weights[own])
        b.light.copy_(light[own])
        state = pool.states.index_select(0, upload.index[own]).permute(0, 2, 3, 1)
        b.states[0].copy_(state.masked_fill(drawn.gone[own, ..., None], 0))
        inputs = [b.weights]
        if self.recipe.model.light:
            inputs.append(2 * b.light[:, None] - 1)
        b.given.copy_(pack_inputs(b.plans["wrap"], torch.cat(inputs, 1)))

    def _forward(self, b: Buffers, draw: Draw) -> None:
        edge, steps, last = draw.edge, draw.steps, draw.last

        def work() -> None:
            weights = pack(b.plans[edge], self.nca.update)
            run_forward(b.plans[edge], weights, b.states, b.given, b.upload.words, steps)
            b.ends[0].copy_(b.states[steps - last])
            b.ends[1].copy_(b.states[steps])

        self._replay(("forward", edge), (steps, last), work)

    def _judge(self, b: Buffers, draw: Draw) -> list[str]:
        """Compute the loss, its gradient at both ends, and the log's numbers, the total first."""
        loss = draw.stage.loss
        guided = bool(self.guide is not None and loss.text)
        guided |= bool(self.losses.likeness is not None and loss.likeness)
        still = bool(loss.stillness) and draw.ripe >= loss.stillness_from
        # The patch's size tells its edge, too, as the grid's size stays.
        cells = None if draw.patch is None else draw.patch.cells
        kind = ("judge", loss, draw.edge, draw.last, still, cells)

        def work() -> None:
            self._names[kind] = self._judged(b, draw, loss)

        if self._sorts and not guided:
            self._replay(kind, None, work)
        else:  # a guide or another metric may wait for the device, which no recording allows
            work()
        return self._names[kind]

    def _judged(self, b: Buffers, draw: Draw, loss: LossRecipe) -> list[str]:
        ends = [end.detach().requires_grad_() for end in b.ends]
        before, after = (end.permute(0, 3, 1, 2) for end in ends)
        light = b.light if self.recipe.model.light else None
        rollout = Rollout(
            before, after, draw.last, b.weights, light, draw.rules, b.upload.calm[b.share.rows],
            draw.edge, b.share, b.everyone.permute(0, 3, 1, 2),
        )  # fmt: skip
        # Some of the convolutions' algorithms add up in any order.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True):
            terms, styles = self.losses.terms(loss, rollout, draw.ripe, draw.patch)
            total = torch.stack([getattr(loss, name) * term for name, term in terms.items()]).sum()
            found = torch.autograd.grad(total, [*ends, *self._drawing], allow_unused=True)
        of_decoder = torch.split(b.of_decoder, [weights.numel() for weights in self._drawing])
        for gradient, part in zip([*b.gradients, *of_decoder], found, strict=True):
            if part is None:  # the loss does not reach it
                gradient.zero_()
            else:
                gradient.copy_(part.reshape(gradient.shape))
        news = torch.stack([total, *terms.values()]).detach()
        distances = b.numbers[len(news) : len(news) + b.share.whole]
        b.numbers[: len(news)].copy_(news)
        distances.zero_()
        distances[b.share.rows].copy_(styles.detach())
        return ["total", *terms]

    def _backward(self, b: Buffers, draw: Draw) -> None:
        """Take the gradient back to the weights."""
        edge, steps, last = draw.edge, draw.steps, draw.last
        plan = b.plans[edge]

        def work() -> None:
            into = b.gradients[1].clone()
            # Where the earlier state is the first one, no weight has changed it.
            between = (steps - last, b.gradients[0]) if last < steps else None
            weights = pack(plan, self.nca.update)
            run_backward(
                plan, weights, b.states, b.given, b.upload.words, steps, into, b.back, between
            )
            found = unpack(plan, b.back.partial)
            b.of_network.copy_(torch.cat([gradient.flatten() for gradient in found]))

        self._replay(("backward", edge), (steps, last), work)

    def _optimise(self, b: Buffers, pool: Pool) -> None:
        """Take the optimiser's step, and return the states to the pool."""
        if self.group.size > 1:
            b.sums.copy_(self.group.sum(b.sums))

        def work() -> None:
            parameters = self._parameters
            sizes = [parameter.numel() for parameter in parameters]
            for parameter, flat in zip(parameters, torch.split(b.gradient, sizes), strict=True):
                # Through fifty steps a gradient's size says little; its direction is kept.
                gradient = flat.view_as(parameter)
                norm = gradient.norm()
                assert parameter.grad is not None
                parameter.grad.copy_(gradient / (norm + 1e-8))
                # A gradient that is not finite spoils the weights as a loss that is not does.
                b.numbers[0].add_(0 * norm)
            self.optimiser.step()
            state = without_broken(b.everyone.permute(0, 3, 1, 2))
            pool.states.index_copy_(0, b.upload.index, state.contiguous())

        self._replay("optimise", None, work)


def _total_last(numbers: list[float], names: int) -> list[float]:
    """Return the losses with the total after the others, then the samples' distances."""
    return [*numbers[1:names], numbers[0], *numbers[names:]]
