"""What is decided about a batch's samples on the CPU: a row of numbers each.

The probabilities and ranges are those of `Curriculum.prepare` and `conditions`; `maps` makes maps
of the rows on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import torch
from torch import Tensor

from ncavideo.training.conditions import BARE, BLOT_LIGHT, BLOT_SLOPES, PLACE_SLOPES
from ncavideo.training.curriculum import CALM, Curriculum
from ncavideo.training.pool import Pool
from ncavideo.training.recipe import TrainingRecipe

DISCS = 13  # the most discs of a sharp light map
DRAWS = 96  # uniform numbers drawn for each sample, more than any takes
FLAT, SMOOTH, SHARP = range(3)
LIGHTS = ("flat", "smooth", "sharp")


class Column(IntEnum):
    """The numbers of a row. The discs follow: radius, y, x, light, of `DISCS` discs."""

    CHANGED = 0  # 1: the sample gets a new condition, of which the columns below tell
    FRESH = 1  # 1: it restarts from the seed
    LIGHT = 2  # FLAT, SMOOTH or SHARP
    LEVEL = 3  # the light where no disc lies, 0..1
    LIGHT_SLOPE = 4  # of the noise that varies the light
    LOWEST = 5  # smooth light's range
    HIGHEST = 6
    TWO = 7  # 1: two rules side by side
    FIRST = 8  # the rules' indices
    SECOND = 9
    BORDER_SLOPE = 10  # of the noise that borders follow
    GAIN = 11  # how hard the border is
    BORDER = 12  # the level of the noise at which it lies
    STRENGTH = 13  # of the expression, 0..1
    DAMAGED = 14  # 1: a disc is erased
    RADIUS = 15  # in cells, as the disc's centre
    Y = 16
    X = 17
    DETAIL = 18  # how much lighter or darker detail is, 0 without
    DETAIL_SLOPE = 19  # of the noise whose sign it is
    PLACE_SLOPE = 20  # of the noise that decides where it is
    BARE = 21  # the level of that noise from which there is detail


COLUMNS = len(Column) + 4 * DISCS


def decide(
    curriculum: Curriculum, pool: Pool, chosen: list[int], r: TrainingRecipe, ripe: float
) -> tuple[Tensor, list[str]]:
    """Draw what happens to the `chosen` entries: rows `[B, COLUMNS]`, and histories for the log.

    Notes new kinds, rules and ages in the pool; its maps and states stay as they are.
    """
    draws = torch.rand(len(chosen), DRAWS, generator=curriculum.generator).tolist()
    rows, histories = [], []
    for index, of_sample in zip(chosen, draws, strict=True):
        row, history = _decide_one(curriculum, pool, index, r, ripe, of_sample)
        rows.append(row)
        histories.append(history)
    return torch.tensor(rows), histories


def _decide_one(
    curriculum: Curriculum, pool: Pool, index: int, r: TrainingRecipe, ripe: float,
    draws: list[float],
) -> tuple[list[float], str]:  # fmt: skip
    draw = iter(draws).__next__
    row, history = [0.0] * COLUMNS, CALM
    fresh = draw() < r.seed_probability
    if fresh:
        row[Column.FRESH] = 1
        pool.ages[index] = 0
    if fresh or not pool.kinds[index] or draw() < r.switch_probability:
        row[Column.CHANGED] = 1
        favoured = (fresh and r.oversample_fresh) or r.oversample
        light = _decide_light(row, draws, r) if curriculum.recipe.model.light else _no_light(row)
        rule = _decide_rules(row, draw, curriculum, favoured, r.mixed * min(1.0, 5 * ripe))
        row[Column.STRENGTH], weak = 1.0, draw() < r.partial_strength
        if weak:
            row[Column.STRENGTH] = 0.4 + 0.6 * draw()
        history = "switched" if pool.ages[index] else "from the seed"
        rules = "two rules" if rule is None else "one rule"
        detailed = " and detailed" * (row[Column.DETAIL] > 0)
        pool.kinds[index] = f"{rules}, {LIGHTS[light]}{detailed} light" + ", weak" * weak
        pool.rules[index] = rule
    if draw() < r.damage:
        row[Column.DAMAGED], history = 1, "damaged"
        row[Column.RADIUS] = r.size * (0.1 + 0.2 * draw())
        row[Column.Y], row[Column.X] = r.size * draw(), r.size * draw()
    return row, history


def _no_light(row: list[float]) -> int:
    row[Column.LEVEL] = 0.5
    return FLAT


def _decide_light(row: list[float], draws: list[float], r: TrainingRecipe) -> int:
    """Fill in the light's columns from the last of `draws`; see `draw_light`."""
    draw = reversed(draws).__next__
    kind = draw()
    row[Column.LEVEL] = draw()
    if kind < 1 - r.light_maps:
        light = FLAT
    elif kind < 1 - r.light_maps / 2:
        light = SMOOTH
        row[Column.LIGHT_SLOPE] = 1.3 + 1.2 * draw()
        low, high = sorted((draw(), draw()))
        row[Column.LOWEST], row[Column.HIGHEST] = (low, high) if high - low >= 0.4 else (0, 1)
    else:
        light = SHARP
        row[Column.LIGHT_SLOPE] = 2.0
        for disc in range(int(3 + 11 * draw())):
            at = len(Column) + 4 * disc
            row[at] = r.size * (0.06 + 0.29 * draw())
            row[at + 1 : at + 4] = r.size * draw(), r.size * draw(), draw()
    row[Column.LIGHT] = light
    if light != FLAT and r.light_detail and draw() < r.light_detail:
        row[Column.DETAIL] = _between(*BLOT_LIGHT, draw())
        row[Column.DETAIL_SLOPE] = _between(*BLOT_SLOPES, draw())
        row[Column.PLACE_SLOPE] = _between(*PLACE_SLOPES, draw())
        row[Column.BARE] = _between(*BARE, draw())
    return light


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share


def _decide_rules(
    row: list[float], draw: Callable[[], float], curriculum: Curriculum, favoured: str, mixed: float
) -> int | None:
    """Fill in the rules' columns; return the rule, None for two. See `draw_condition`."""
    rules = curriculum.rules
    first = min(int(draw() * rules), rules - 1)
    often = curriculum.rule_index(favoured)
    if draw() < 0.5 and often is not None:
        first = often
    others = max(1, rules - 1)
    second = (first + 1 + min(int(draw() * others), others - 1)) % rules
    row[Column.FIRST], row[Column.SECOND] = first, second
    row[Column.BORDER_SLOPE] = 1.5 + draw()
    row[Column.GAIN], row[Column.BORDER] = 2 ** (2 + 5 * draw()), 0.3 + 0.4 * draw()
    two = rules > 1 and draw() < mixed
    row[Column.TWO] = float(two)
    return None if two else first
