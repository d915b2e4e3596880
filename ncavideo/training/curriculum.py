"""The curriculum: requests that samples of the pool get, their steps, and what happens to them."""

from __future__ import annotations

import torch

from ncavideo.training.conditions import disc, draw_condition
from ncavideo.training.pool import Pool
from ncavideo.training.recipe import Recipe, TrainingRecipe

CALM = "left alone"  # the history of a sample with the same request as before, unhurt
LONG_FROM = 0.35  # share of the iterations before which no sample takes a long run
STILL_STEPS = 8  # steps, a video frame's worth, over which a calm sample should hold its picture
LEAST_LONG = 100  # steps of the shortest long run


class Curriculum:
    """Draws at random what happens to samples; `generator` is the source of all its numbers."""

    def __init__(self, recipe: Recipe, generator: torch.Generator, device: torch.device) -> None:
        self.recipe, self.generator, self.device = recipe, generator, device
        self.rules = len(recipe.rules)

    def chance(self, share: float) -> bool:
        """Return True with this probability."""
        return bool(torch.rand((), generator=self.generator) < share)

    def prepare(self, pool: Pool, index: int, r: TrainingRecipe, ripe: float) -> str:
        """Draw the entry's condition, and whether it restarts or is damaged.

        `ripe`: how far the run is, 0 to 1: mixed conditions are phased in over its first fifth.

        Returns its history, for the log: `CALM` for the same condition as before, undamaged.
        """
        fresh = self.chance(r.seed_probability)
        history = CALM
        if fresh:
            pool.states[index] = 0
            pool.ages[index] = 0
        if fresh or not pool.kinds[index] or self.chance(r.switch_probability):
            mixed = r.mixed * min(1.0, 5 * ripe)
            condition = draw_condition(
                self.rules,
                r.size,
                self.generator,
                has_light=self.recipe.model.light,
                mixed=mixed,
                partial=r.partial_strength,
                varied=r.light_maps,
                detailed=r.light_detail,
                oversampled=self.rule_index((fresh and r.oversample_fresh) or r.oversample),
            )
            pool.weights[index] = condition.weights
            pool.light[index] = condition.light
            history = "switched" if pool.ages[index] else "from the seed"
            pool.kinds[index], pool.rules[index] = condition.kind, condition.rule
        if self.chance(r.damage):
            radius = r.size * (0.1 + 0.2 * float(torch.rand((), generator=self.generator)))
            hole = disc(r.size, radius, self.generator).to(self.device)
            pool.states[index].masked_fill_(hole, 0)
            history = "damaged"
        return history

    def rule_index(self, name: str) -> int | None:
        """Return the place of the rule of that name, None for an empty name."""
        return [rule.name for rule in self.recipe.rules].index(name) if name else None

    def steps(self, r: TrainingRecipe, ripe: float) -> int:
        """Draw the number of steps of an iteration: few at first, up to the recipe's most."""
        fewest, most = r.steps
        most = fewest + round((most - fewest) * min(1.0, 0.3 + 6 * ripe))
        return int(torch.randint(fewest, most + 1, (), generator=self.generator))

    def long_steps(self, most: int) -> int:
        """Draw the number of steps of a long run, spread evenly in its logarithm."""
        share = float(torch.rand((), generator=self.generator))
        steps: int = round(min(LEAST_LONG, most) * (most / min(LEAST_LONG, most)) ** share)
        return steps
