"""The training loop: a pool of living samples, asked for rules and lights, judged by style."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ncavideo.nca import engines
from ncavideo.nca.engines.base import Snapshot
from ncavideo.nca.model import FILTERS, NCA, Edge
from ncavideo.nca.network import LIGHT
from ncavideo.nca.ruleset import Rule, RuleSet
from ncavideo.training.curriculum import CALM, Curriculum
from ncavideo.training.losses import Losses, Rollout
from ncavideo.training.pool import Pool
from ncavideo.training.precision import matmul_dtype
from ncavideo.training.recipe import Recipe, Stage, TrainingRecipe
from ncavideo.training.style import StyleLoss
from ncavideo.training.text import TextGuide
from ncavideo.training.unroll import Firing, unroll
from ncavideo.training.unroll_gpu import unroll_on_device
from ncavideo.util.errors import UserError

WARM_UP = 0.02  # share of the iterations in which the rate rises to its full value
FINAL_RATE = 0.03  # share of the full rate at the end of the cosine
LONG_FROM = 0.35  # share of the iterations before which no sample takes a long run
STILL_STEPS = 8  # steps, a video frame's worth, over which a calm sample should hold its picture
OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
BROKEN = 8.0  # a state beyond this is not worth healing: it starts again


@dataclass(frozen=True)
class Progress:
    """One iteration's news.

    `losses`: each term's mean; `kinds`, `histories`: style distances by what samples were asked
    for and by what had happened to them.
    """

    iteration: int
    losses: dict[str, float]
    kinds: dict[str, float]
    histories: dict[str, float]
    seconds: float

    @property
    def finite(self) -> bool:
        """Whether the iteration can be built on: nothing in it overflowed."""
        return all(math.isfinite(value) for value in self.losses.values())


class Trainer:
    """Holds all that a run consists of; `state_dict` is a complete checkpoint.

    A run that stops after any iteration and goes on from its checkpoint ends, on a CPU, with the
    same weights bit for bit as one that did not stop.
    """

    def __init__(
        self,
        recipe: Recipe,
        style: StyleLoss,
        device: torch.device,
        guide: TextGuide | None = None,
    ) -> None:
        if len(recipe.rules) != style.rules:
            raise ValueError("the style loss must know the recipe's rules")
        self.recipe, self.style, self.device, self.guide = recipe, style, device, guide
        model, training = recipe.model, recipe.training
        self.rules = len(recipe.rules)
        self.inputs = self.rules + model.light
        torch.manual_seed(recipe.seed)
        self.nca = NCA(model.channels, self.inputs, model.hidden).to(device)
        self.optimiser = OPTIMISERS[training.optimiser](
            self.nca.parameters(), lr=training.learning_rate
        )
        self.pool = self._new_pool(training)
        self.losses = Losses(recipe, style, device, guide)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.curriculum = Curriculum(recipe, self.generator, device)
        self.iteration = 0
        self.steps_taken = 0
        self.slowed = 1.0  # of the recipe's rate, after the loss was not finite
        self.kept: list[Tensor] = []  # the weights that the stage began with, where they are kept
        self.started_from: dict[str, str] = {}  # the rule set that the run began with
        self.dtype = matmul_dtype(training.precision, device)

    def _new_pool(self, training: TrainingRecipe) -> Pool:
        channels = self.recipe.model.channels
        return Pool.empty(training.pool, channels, self.rules, training.size, self.device)

    @property
    def progress(self) -> tuple[Stage, float, float]:
        """The coming iteration's stage, the share of it that is done, and how ripe the run is.

        The run ripens in its first stage: what comes in late there is in from the start later, as
        it is in a run that began with another's weights.
        """
        stage, begin = self.recipe.stage_at(self.iteration)
        share = (self.iteration - begin) / stage.training.iterations
        return stage, share, 1.0 if begin or self.started_from else share

    def begin_with(self, ruleset: RuleSet) -> None:
        """Take over the weights of a rule set: the cells', and each input channel's of its name.

        Raises `UserError` for a network of another shape.
        """
        model = self.recipe.model
        if (ruleset.channels, ruleset.hidden) != (model.channels, model.hidden):
            raise UserError(
                f"`start`: {ruleset.name} has {ruleset.channels} channels and {ruleset.hidden}"
                f" hidden units, and the recipe {model.channels} and {model.hidden}: set"
                " `model.channels` and `model.hidden` (--channels, --hidden) to the same"
            )
        seen, update = FILTERS * model.channels, self.nca.update
        names = [rule.name for rule in self.recipe.rules] + [LIGHT] * model.light
        with torch.no_grad():
            w1 = torch.from_numpy(ruleset.w1)
            update.w1[:, :seen] = w1[:, :seen]
            for column, name in enumerate(names):
                if name in ruleset.inputs:
                    update.w1[:, seen + column] = w1[:, seen + ruleset.inputs.index(name)]
            update.b1.copy_(torch.from_numpy(ruleset.b1))
            update.w2.copy_(torch.from_numpy(ruleset.w2))
        digest = hashlib.sha256(b"".join(a.tobytes() for a in (ruleset.w1, ruleset.b1, ruleset.w2)))
        self.started_from = {"name": ruleset.name, "weights_sha256": digest.hexdigest()}

    def rate(self) -> float:
        """Return the learning rate of the coming iteration: a short rise, then the schedule.

        Every stage has its own rise and fall.
        """
        stage, share, _ = self.progress
        full = stage.training.learning_rate * self.slowed
        if share < WARM_UP:
            return full * (share / WARM_UP + 0.05)
        if stage.training.schedule == "constant":
            return full
        falling = math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP))
        return full * (FINAL_RATE + (1 - FINAL_RATE) * (1 + falling) / 2)

    def run(self) -> Iterator[Progress]:
        """Yield after each iteration until the recipe's number is reached."""
        while self.iteration < self.recipe.iterations:
            yield self.step()

    def step(self) -> Progress:
        """Take one iteration."""
        started = time.perf_counter()
        stage, share, ripe = self.progress
        loss, r = stage.loss, stage.training
        if not share:
            self.kept = (
                [p.detach().clone() for p in self.nca.parameters()] if r.weight_average else []
            )
        if self.pool.states.shape[::3] != (r.pool, r.size):
            self.pool = self._new_pool(r)
        chosen = self.pool.draw(min(r.batch, len(self.pool)), self.generator)
        histories = [
            self.curriculum.prepare(self.pool, index, r, ripe) for index in chosen.tolist()
        ]
        calm = torch.tensor([float(h == CALM) for h in histories], device=self.device)
        weights, light = self.pool.weights[chosen], self.pool.light[chosen]
        inputs = self._inputs(weights, light)
        state = self.pool.states[chosen]
        state = state.contiguous(memory_format=torch.channels_last)
        edge: Edge = "reflect" if self.curriculum.chance(r.reflect) else "wrap"
        if ripe > LONG_FROM:
            for index in range(len(chosen)):
                if self.curriculum.chance(r.long_rollout_probability):
                    state[index] = self._grow_old(state[index], inputs[index], edge)
                    histories[index] = "grown old"
        steps = self.curriculum.steps(r, ripe)
        last = min(steps, STILL_STEPS)
        before = self._live(state, inputs, steps - last, edge)
        state = self._live(before, inputs, last, edge)

        rules = [self.pool.rules[index] for index in chosen.tolist()]
        asked = light if self.recipe.model.light else None
        rollout = Rollout(before, state, last, weights, asked, rules, calm, edge)
        terms, styles = self.losses.terms(loss, rollout, ripe)
        total = torch.stack([getattr(loss, name) * term for name, term in terms.items()]).sum()
        self.optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        for parameter in self.nca.parameters():
            if parameter.grad is not None:
                # Through fifty steps a gradient's size says little; its direction is kept.
                norm = parameter.grad.norm()
                parameter.grad /= norm + 1e-8
                # A gradient that is not finite spoils the weights as a loss that is not does.
                total = total + 0 * norm
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.optimiser.step()

        self.pool.states[chosen] = _without_broken(state.detach())
        self.pool.ages[chosen] += steps
        self.iteration += 1
        if self.recipe.ends_stage(self.iteration):
            self._keep(r.weight_average)
        # Everything that the log wants crosses from the device at once.
        numbers = self._read(torch.stack([*terms.values(), total, *styles]).detach())
        losses = dict(zip([*terms, "total"], numbers, strict=False))
        distances = numbers[len(losses) :]
        kinds = [self.pool.kinds[index] for index in chosen.tolist()]
        return Progress(
            self.iteration,
            losses,
            _means(kinds, distances),
            _means(histories, distances),
            time.perf_counter() - started,
        )

    def _read(self, numbers: Tensor) -> list[float]:
        """Bring numbers to the CPU, which waits for the device until they are there."""
        found: list[float] = numbers.tolist()
        return found

    def _keep(self, share: float) -> None:
        """Mix this share of the weights that the stage began with into those that it ends with.

        Between a network and its fine-tuned self lies what is between them in skill, too (Wortsman
        et al. 2022, "Robust fine-tuning of zero-shot models"): a stage that teaches one rule at the
        cost of others gives part of both back.
        """
        with torch.no_grad():
            for weights, first in zip(self.nca.parameters(), self.kept, strict=False):
                weights.lerp_(first, share)
        self.kept = []

    def _inputs(self, weights: Tensor, light: Tensor) -> Tensor:
        """Return the input channels `[B, I, H, W]`: the rules, then light on a scale of -1 to 1."""
        parts = [weights]
        if self.recipe.model.light:
            parts.append(2 * light[:, None] - 1)
        return torch.cat(parts, 1).contiguous(memory_format=torch.channels_last)

    def _live(self, state: Tensor, inputs: Tensor, steps: int, edge: Edge) -> Tensor:
        firing = Firing(self.recipe.seed, self.steps_taken, self.recipe.model.fire_rate)
        self.steps_taken += steps
        way = unroll if self.device.type == "cpu" else unroll_on_device
        return way(self.nca, state, inputs, steps, firing, edge, self.dtype)

    def _grow_old(self, state: Tensor, inputs: Tensor, edge: Edge) -> Tensor:
        """Let one sample `[C, H, W]` live on, unjudged, for up to `long_rollout_steps` steps.

        What drifts, drifts slowly: only a sample that is hundreds or thousands of steps old shows
        it. The fastest engine makes that cheap.
        """
        steps = self.curriculum.long_steps(self.progress[0].training.long_rollout_steps)
        engine = engines.start(
            "auto",
            self.ruleset(),
            *state.shape[1:],
            seed=self.recipe.seed,
            edge=edge,
            device=str(self.device),
        )
        engine.restore(Snapshot(state.cpu().contiguous().numpy(), self.steps_taken))
        engine.step(inputs.cpu().contiguous().numpy(), steps)
        self.steps_taken += steps
        old = torch.from_numpy(engine.snapshot().state).to(self.device)
        return _without_broken(old[None])[0]

    def ruleset(self, provenance: dict[str, Any] | None = None) -> RuleSet:
        """Return the network as it is now, as a rule set."""
        recipe, update = self.recipe, self.nca.update
        w1, b1, w2 = (
            p.detach().to("cpu", torch.float32).numpy().copy()
            for p in (update.w1, update.b1, update.w2)
        )
        rules = tuple(
            Rule(
                r.name,
                "; ".join(r.prompt),
                ", ".join(Path(picture.path).name for picture in r.style),
                r.credit,
            )
            for r in recipe.rules
        )
        inputs = tuple(r.name for r in rules) + ((LIGHT,) if recipe.model.light else ())
        return RuleSet(
            recipe.name, rules, inputs, recipe.model.fire_rate, w1, b1, w2, provenance or {}
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all that the run consists of, for `load_state_dict`."""
        return {
            "recipe": json.loads(json.dumps(self.recipe.to_json())),
            "iteration": self.iteration,
            "steps_taken": self.steps_taken,
            "weights": self.nca.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "pool": self.pool.state_dict(),
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "slowed": self.slowed,
            "started_from": self.started_from,
            "kept": self.kept,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint of the same recipe."""
        different = _difference(state["recipe"], json.loads(json.dumps(self.recipe.to_json())))
        if different:
            raise UserError(
                f"the checkpoint was made with another recipe (`{different}` differs): use another"
                " --folder, or start over with --fresh"
            )
        self.iteration, self.steps_taken = state["iteration"], state["steps_taken"]
        self.nca.load_state_dict(state["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.pool = Pool.from_state(state["pool"], self.device)
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch"])
        self.slowed = state["slowed"]
        self.started_from = state["started_from"]
        self.kept = [weights.to(self.device) for weights in state["kept"]]


def _means(names: list[str], values: list[float]) -> dict[str, float]:
    """Return each name's mean value."""
    found: dict[str, list[float]] = {}
    for name, value in zip(names, values, strict=True):
        found.setdefault(name, []).append(value)
    return {name: sum(of_name) / len(of_name) for name, of_name in found.items()}


def _difference(a: Any, b: Any, key: str = "") -> str:
    """Return the first key at which two pieces of plain data differ, empty if they are equal."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = [*a, *(k for k in b if k not in a)]
        pairs = ((f"{key}.{k}" if key else k, a.get(k), b.get(k)) for k in keys)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        pairs = ((f"{key}[{i}]", x, y) for i, (x, y) in enumerate(zip(a, b, strict=True)))
    else:
        return "" if a == b else key
    return next((found for k, x, y in pairs if (found := _difference(x, y, k))), "")


def _without_broken(state: Tensor) -> Tensor:
    """Return the states with those that blew up (or are not finite) back at the seed."""
    broken = ~(state.abs().flatten(1).amax(1) < BROKEN)
    return torch.where(broken[:, None, None, None], torch.zeros_like(state), state)
