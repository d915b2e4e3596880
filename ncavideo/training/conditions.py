"""The conditions of training samples: maps of rules and of light, drawn at random.

A video asks for many rules at once, in shapes, under changing light. The draws here are the
curriculum: one rule everywhere, two rules side by side (with borders from soft to hard), a rule
at part of its strength; one light everywhere, smooth light, sharp light.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BLOT_SLOPES = (0.8, 1.6)  # of the noise whose sign detail is: a photograph's has about 1
PLACE_SLOPES = (2.0, 3.0)  # of the noise that decides where it is
BLOT_LIGHT = (0.1, 0.3)  # how much lighter or darker it is
BARE = (0.3, 0.7)  # share of a map without it


@dataclass(frozen=True)
class Condition:
    """`weights` `[R, H, W]`: the expression; `light` `[H, W]` in 0..1; `kind`: for the log.

    `rule`: the one that is asked for everywhere, None where there are two.
    """

    weights: Tensor
    light: Tensor
    kind: str
    rule: int | None


def smooth_noise(size: int, slope: float, generator: torch.Generator) -> Tensor:
    """Return periodic 1/f**slope noise `[size, size]` with its values spread evenly over 0..1."""
    frequency = torch.fft.fftfreq(size) * size
    radius = (frequency[:, None] ** 2 + frequency[None, : size // 2 + 1] ** 2).sqrt()
    radius[0, 0] = 1
    spectrum = torch.fft.rfft2(torch.randn(size, size, generator=generator)) / radius**slope
    spectrum[0, 0] = 0
    noise = torch.fft.irfft2(spectrum, s=(size, size)).flatten()
    ranks = torch.empty_like(noise)
    ranks[noise.argsort()] = torch.linspace(0, 1, size * size)
    return ranks.view(size, size)


def disc(size: int, radius: float, generator: torch.Generator) -> Tensor:
    """Return a boolean disc `[size, size]` at a random place on the torus; `radius` in px."""
    centre = torch.rand(2, generator=generator) * size
    axis = torch.arange(size)
    dy, dx = ((axis - c).abs() for c in centre)
    dy, dx = torch.minimum(dy, size - dy), torch.minimum(dx, size - dx)
    return dy[:, None] ** 2 + dx[None, :] ** 2 < radius**2


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def draw_light(
    size: int, generator: torch.Generator, varied: float = 0.7, detailed: float = 0.0
) -> tuple[Tensor, str]:
    """Draw a light map `[size, size]`: flat, smooth, or sharp (overlapping discs and edges).

    `varied` is the share of those that are not flat, `detailed` the share of these that get
    detail, see `with_detail`.
    """
    light, kind = _draw_plain_light(size, generator, varied)
    if kind != "flat" and detailed and float(torch.rand((), generator=generator)) < detailed:
        return with_detail(light, generator), f"{kind} and detailed"
    return light, kind


def with_detail(light: Tensor, generator: torch.Generator) -> Tensor:
    """Return a light map with blots of all sizes down to a cell in about half of it.

    As eyes, letters and leaves are in a clip's light: lighter or darker by up to 0.3.
    """
    blots, place = (
        smooth_noise(len(light), _uniform(*slopes, generator), generator)
        for slopes in (BLOT_SLOPES, PLACE_SLOPES)
    )
    amount = _uniform(*BLOT_LIGHT, generator)
    return blotted(light, blots, place, amount, _uniform(*BARE, generator))


def blotted(
    light: Tensor, blots: Tensor, place: Tensor, amount: float | Tensor, bare: float | Tensor
) -> Tensor:
    """Return light maps, lighter or darker by `amount` as `blots` are above or below a half.

    Only where `place` is above `bare`; all maps are in 0..1 and of one shape.
    """
    sign = torch.where(blots > 0.5, 1.0, -1.0)
    return (light + amount * sign * (place > bare)).clamp(0, 1)


def _draw_plain_light(size: int, generator: torch.Generator, varied: float) -> tuple[Tensor, str]:
    kind = float(torch.rand((), generator=generator))
    if kind < 1 - varied:
        return torch.full((size, size), _uniform(0, 1, generator)), "flat"
    if kind < 1 - varied / 2:
        noise = smooth_noise(size, _uniform(1.3, 2.5, generator), generator)
        low, high = sorted((_uniform(0, 1, generator), _uniform(0, 1, generator)))
        if high - low < 0.4:
            low, high = 0.0, 1.0
        return low + (high - low) * noise, "smooth"
    # Dead leaves: what a natural image's brightness looks like, up to shading.
    light = torch.full((size, size), _uniform(0, 1, generator))
    for _ in range(int(_uniform(3, 14, generator))):
        radius = size * _uniform(0.06, 0.35, generator)
        light[disc(size, radius, generator)] = _uniform(0, 1, generator)
    shading = smooth_noise(size, 2.0, generator) - 0.5
    return (light + 0.25 * shading).clamp(0, 1), "sharp"


def draw_condition(
    rules: int,
    size: int,
    generator: torch.Generator,
    *,
    has_light: bool,
    mixed: float,
    partial: float = 0.2,
    varied: float = 0.7,
    detailed: float = 0.0,
    oversampled: int | None = None,
) -> Condition:
    """Draw the condition of one sample.

    `mixed` is the share of samples with two rules, `partial` that of those at part of their
    strength, `varied` that of those whose light varies, `detailed` the share of these whose light
    has detail. The `oversampled` rule comes as often as all others together.
    """
    light, light_kind = draw_light(size, generator, varied, detailed)
    if not has_light:
        light, light_kind = torch.full((size, size), 0.5), "flat"
    order = torch.randperm(rules, generator=generator)
    if oversampled is not None and float(torch.rand((), generator=generator)) < 0.5:
        order = torch.cat([order.new_tensor([oversampled]), order[order != oversampled]])
    weights = torch.zeros(rules, size, size)
    rule = None
    if rules > 1 and float(torch.rand((), generator=generator)) < mixed:
        noise = smooth_noise(size, _uniform(1.5, 2.5, generator), generator)
        gain = 2 ** _uniform(2, 7, generator)
        first = torch.sigmoid(gain * (noise - _uniform(0.3, 0.7, generator)))
        weights[order[0]], weights[order[1]] = first, 1 - first
        kind = f"two rules, {light_kind} light"
    else:
        rule = int(order[0])
        weights[rule] = 1
        kind = f"one rule, {light_kind} light"
    if float(torch.rand((), generator=generator)) < partial:
        weights = weights * _uniform(0.4, 1, generator)
        kind += ", weak"
    return Condition(weights, light, kind, rule)
