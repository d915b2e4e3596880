"""The training loop: a pool of living samples, asked for rules and lights, judged by style."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ncavideo.nca import engines
from ncavideo.nca.decoder import Decoder
from ncavideo.nca.engines.base import Snapshot
from ncavideo.nca.model import NCA, Edge
from ncavideo.nca.network import LIGHT
from ncavideo.nca.ruleset import Rule, RuleSet
from ncavideo.training.curriculum import CALM, LONG_FROM, STILL_STEPS, Curriculum
from ncavideo.training.gpu.choose import SLOWLY, failed, fused_iteration
from ncavideo.training.likeness import Likeness
from ncavideo.training.losses import Losses
from ncavideo.training.optimiser import OPTIMISERS, portable
from ncavideo.training.pool import Pool, without_broken
from ncavideo.training.precision import matmul_dtype
from ncavideo.training.process_group import ALONE, Order, ProcessGroup, counted, sum_gradients
from ncavideo.training.progress import Progress, Taken
from ncavideo.training.recipe import Recipe, Stage, TrainingRecipe
from ncavideo.training.recipe_difference import difference
from ncavideo.training.seen import Patches, Rollout
from ncavideo.training.share import Share
from ncavideo.training.start import take_over
from ncavideo.training.style import StyleLoss
from ncavideo.training.text import TextGuide
from ncavideo.training.unroll import Firing, unroll
from ncavideo.training.unroll_gpu import unroll_on_device
from ncavideo.util.errors import UserError, ran_out

if TYPE_CHECKING:
    from ncavideo.training.gpu.iteration import FusedIteration

WARM_UP = 0.02  # share of the iterations in which the rate rises to its full value
FINAL_RATE = 0.03  # share of the full rate at the end of the cosine


class Trainer:
    """Holds all that a run consists of; `state_dict` is a complete checkpoint.

    A run that stops after any iteration and goes on from its checkpoint ends, on the same device,
    with the same weights bit for bit as one that did not stop. `guide` and `likeness` judge
    beside `style`. `note` gets sentences that the user should read. `group`: the processes that
    share each batch.
    """

    def __init__(
        self,
        recipe: Recipe,
        style: StyleLoss,
        device: torch.device,
        guide: TextGuide | None = None,
        note: Callable[[str], None] = lambda text: None,
        group: ProcessGroup = ALONE,
        likeness: Likeness | None = None,
    ) -> None:
        if len(recipe.rules) != style.rules:
            raise ValueError("the style loss must know the recipe's rules")
        self.recipe, self.style, self.device, self.guide = recipe, style, device, guide
        model, training = recipe.model, recipe.training
        self.rules = len(recipe.rules)
        self.inputs = self.rules + model.light
        torch.manual_seed(recipe.seed)
        self.nca = NCA(model.channels, self.inputs, model.hidden).to(device)
        self.decoder = Decoder(model.channels, model.decoder).to(device) if model.decoder else None
        self.optimiser = OPTIMISERS[training.optimiser](self._parameters, lr=training.learning_rate)
        self.pool = self._new_pool(training)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.patches = None
        if self.decoder is not None:
            self.patches = Patches(self.decoder, model.pixels, self.generator)
        self.losses = Losses(recipe, style, device, guide, self.patches, likeness=likeness)
        self.curriculum = Curriculum(recipe, self.generator, device)
        self.iteration = 0
        self.steps_taken = 0
        self.slowed = 1.0  # of the recipe's rate, after the loss was not finite
        self.kept: list[Tensor] = []  # the weights that the stage began with, where they are kept
        self.started_from: dict[str, str] = {}  # the rule set that the run began with
        self.dtype = matmul_dtype(training.precision, device)
        self.note, self.group = note, group
        self._fused: FusedIteration | None = None
        self._has_chosen = False  # whether there are fused kernels is looked up when they are due
        self._read_at = 0.0  # when the last iteration's numbers had come

    @property
    def _on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def _new_pool(self, training: TrainingRecipe) -> Pool:
        channels = self.recipe.model.channels
        return Pool.empty(training.pool, channels, self.rules, training.size, self.device)

    @property
    def _parameters(self) -> list[torch.nn.Parameter]:
        drawing = self.decoder.parameters() if self.decoder else ()
        return [*self.nca.parameters(), *drawing]

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
        self.started_from = take_over(self.recipe, self.nca, self.decoder, ruleset)

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
        return self.begin()()

    @property
    def works_ahead(self) -> bool:
        """Whether an iteration may begin before the one before it has ended."""
        return self._fused is not None

    def begin(self) -> Callable[[], Progress]:
        """Begin an iteration; what is returned waits for its end and gives its news.

        A checkpoint is of all iterations that have begun.
        """
        self.group.tell(Order.BEGIN)
        started = time.perf_counter()
        stage, done, ripe = self.progress
        r = stage.training
        if not done:
            self.kept = [p.detach().clone() for p in self._parameters] if r.weight_average else []
        if self.pool.states.shape[::3] != (r.pool, r.size):
            self.pool = self._new_pool(r)
        taken = self._take_fused(stage, ripe) or self._take(stage, ripe)
        self.iteration += 1
        if self.recipe.ends_stage(self.iteration):
            self._keep(r.weight_average)

        def seconds() -> float:
            # While one iteration ends the next one has begun: none counts twice.
            begun, self._read_at = max(started, self._read_at), time.perf_counter()
            return self._read_at - begun

        iteration = self.iteration
        return lambda: taken.progress(iteration, seconds)

    def _take_fused(self, stage: Stage, ripe: float) -> Taken | None:
        """Take an iteration with fused kernels; None where there are none."""
        if not self._has_chosen:
            self._has_chosen = True
            self._fused = fused_iteration(
                self.nca, self.optimiser, self.curriculum, self.style, self.guide, self.dtype,
                self.note, self.group, self.patches, self.losses.likeness,
            )  # fmt: skip
        if self._fused is None:
            return None
        try:
            taken = self._fused.take(self.pool, stage, ripe, self.steps_taken, self.rate())
        except Exception as error:
            # Of several processes none can take another way by itself.
            if ran_out(error) or self.group.size > 1:
                raise
            self._fused = None
            self.note(SLOWLY.format(failed(error)))
            return None
        self.steps_taken += taken.steps
        return taken

    def _take(self, stage: Stage, ripe: float) -> Taken:
        """Take an iteration with torch."""
        loss, r = stage.loss, stage.training
        steps_before = self.steps_taken
        chosen = self.pool.draw(min(r.batch, len(self.pool)), self.generator)
        histories = [
            self.curriculum.prepare(self.pool, index, r, ripe) for index in chosen.tolist()
        ]
        share = self.group.share(len(chosen))
        own = chosen[share.rows]
        calm = torch.tensor([float(h == CALM) for h in histories[share.rows]], device=self.device)
        weights, light = self.pool.weights[own], self.pool.light[own]
        inputs = self._inputs(weights, light)
        state = self.pool.states[own]
        state = state.contiguous(memory_format=torch.channels_last)
        edge: Edge = "reflect" if self.curriculum.chance(r.reflect) else "wrap"
        if ripe > LONG_FROM:
            for place in range(-share.first, len(chosen) - share.first):
                if self.curriculum.chance(r.long_rollout_probability):
                    older = self.curriculum.long_steps(r.long_rollout_steps)
                    if 0 <= place < share.count:
                        state[place] = self._grow_old(state[place], inputs[place], edge, older)
                    self.steps_taken += older
                    histories[share.first + place] = "grown old"
        steps = self.curriculum.steps(r, ripe)
        last = min(steps, STILL_STEPS)
        before = self._live(state, inputs, steps - last, edge, share)
        state = self._live(before, inputs, last, edge, share)
        everyone = self.group.gather(state.detach(), share.whole)

        rules = [self.pool.rules[index] for index in chosen.tolist()]
        asked = light if self.recipe.model.light else None
        rollout = Rollout(
            before, state, last, weights, asked, rules, calm, edge, share, everyone
        )  # fmt: skip
        patch = self.patches.choose(r.size, r.patch, edge) if self.patches else None
        terms, styles = self.losses.terms(loss, rollout, ripe, patch)
        total = torch.stack([getattr(loss, name) * term for name, term in terms.items()]).sum()
        self.optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        distances = styles.new_zeros(share.whole)
        distances[share.rows] = styles.detach()
        numbers = torch.cat([torch.stack([*terms.values(), total]).detach(), distances])
        numbers = sum_gradients(self.group, self._parameters, numbers)
        for parameter in self._parameters:
            if parameter.grad is not None:
                # Through fifty steps a gradient's size says little; its direction is kept.
                norm = parameter.grad.norm()
                parameter.grad /= norm + 1e-8
                # A gradient that is not finite spoils the weights as a loss that is not does.
                numbers[len(terms)] += 0 * norm
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.optimiser.step()

        self.pool.states[chosen] = without_broken(everyone)
        self.pool.ages[chosen] += steps
        kinds = [self.pool.kinds[index] for index in chosen.tolist()]
        steps = self.steps_taken - steps_before
        # Everything that the log wants crosses from the device at once.
        return Taken([*terms, "total"], kinds, histories, steps, lambda: self._read(numbers))

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
            for weights, first in zip(self._parameters, self.kept, strict=False):
                weights.lerp_(first, share)
        self.kept = []

    def _inputs(self, weights: Tensor, light: Tensor) -> Tensor:
        """Return the input channels `[B, I, H, W]`: the rules, then light on a scale of -1 to 1."""
        parts = [weights]
        if self.recipe.model.light:
            parts.append(2 * light[:, None] - 1)
        return torch.cat(parts, 1).contiguous(memory_format=torch.channels_last)

    def _live(self, state: Tensor, inputs: Tensor, steps: int, edge: Edge, share: Share) -> Tensor:
        rate = self.recipe.model.fire_rate
        firing = Firing(self.recipe.seed, self.steps_taken, rate, share.first)
        self.steps_taken += steps
        way = unroll if self.device.type == "cpu" else unroll_on_device
        return way(self.nca, state, inputs, steps, firing, edge, self.dtype)

    def _grow_old(self, state: Tensor, inputs: Tensor, edge: Edge, steps: int) -> Tensor:
        """Let one sample `[C, H, W]` live on, unjudged, for so many steps.

        What drifts, drifts slowly: only a sample that is hundreds or thousands of steps old shows
        it. The fastest engine makes that cheap.
        """
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
        old = torch.from_numpy(engine.snapshot().state).to(self.device)
        return without_broken(old[None])[0]

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
            recipe.name, rules, inputs, recipe.model.fire_rate, w1, b1, w2, provenance or {},
            self.decoder.weights(recipe.model.pixels) if self.decoder else None,
        )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """Return all that the run consists of, for `load_state_dict`."""
        return {
            "recipe": json.loads(json.dumps(self.recipe.to_json())),
            "iteration": self.iteration,
            "steps_taken": self.steps_taken,
            "device": self.device.type,
            "processes": self.group.size,
            "weights": self.nca.state_dict(),
            "optimiser": portable(self.optimiser.state_dict()),
            "pool": self.pool.state_dict(),
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self.device) if self._on_gpu else None,
            "slowed": self.slowed,
            "started_from": self.started_from,
            "kept": self.kept,
            "decoder": self.decoder.state_dict() if self.decoder else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint of the same recipe."""
        different = difference(self.recipe, state["recipe"])
        if different:
            raise UserError(
                f"the checkpoint was made with another recipe (`{different}` differs): use another"
                " --folder, or start over with --fresh"
            )
        self.iteration, self.steps_taken = state["iteration"], state["steps_taken"]
        self.nca.load_state_dict(state["weights"])
        if self.decoder is not None:
            self.decoder.load_state_dict(state["decoder"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.pool = Pool.from_state(state["pool"], self.device)
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch"])
        if self._on_gpu and state.get("cuda") is not None:
            torch.cuda.set_rng_state(state["cuda"], self.device)
        if self._fused is not None:
            self._fused.forget()
        self.slowed = state["slowed"]
        self.started_from = state["started_from"]
        self.kept = [weights.to(self.device) for weights in state["kept"]]
        before, now = state.get("device", self.device.type), self.device.type
        if before != now:
            self.note(
                f"the checkpoint was made on {before} and goes on on {now}: the rule set will not"
                " be bit for bit what one device makes"
            )
        shared = state.get("processes", 1)
        if shared != self.group.size:
            self.note(
                f"the checkpoint was made by {counted(shared)} and goes on by"
                f" {counted(self.group.size)}: the rule set will be the same but for rounding, not"
                " bit for bit"
            )
