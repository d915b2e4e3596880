"""Bark, stone, sand and lichen."""

from __future__ import annotations

import numpy as np
from canvas import (
    SUPERSAMPLE,
    Array,
    Canvas,
    Material,
    Shade,
    band_noise,
    blur,
    fbm,
    mix,
    ramp,
    ridged,
    scatter,
    slopes,
    smoothstep,
    unit,
    warp,
    window,
    worley,
)  # fmt: skip


def bark(canvas: Canvas) -> Shade:
    """Furrowed bark: tall plates between dark fissures, lit from the left, fibres up the trunk."""
    x, y = canvas.grid()
    wx, wy = warp(canvas, x, y, 36, 7, 5)
    plates = worley(canvas, wx, wy, 11.5, 42, 0.95)
    flakes = worley(canvas, wx, wy, 9, 13, 0.95)
    fibre = ridged(canvas, wx, wy, 4.5, 20, 1)
    grain = fbm(canvas, wx, wy, 4, 9, 2)
    edge = plates.edge + 0.9 * grain  # ragged: wood tears, it does not shear
    dome = smoothstep(0.5, 3.8, edge)
    scale = smoothstep(0.0, 0.9, flakes.edge + 0.3 * grain)
    relief = 2.2 * dome + 0.3 * scale + 0.55 * fibre + 0.5 * grain
    slope = (np.roll(relief, -2, 1) - np.roll(relief, 2, 1)) * SUPERSAMPLE / 4
    lit = np.tanh(0.9 * slope)
    tone = 0.58 + 0.26 * fibre + 0.12 * grain + 0.07 * scale + 0.2 * lit
    tone = tone + 0.13 * plates.per_cell(canvas.rng, -1, 1)
    field = unit(tone * smoothstep(0.2, 1.9, edge))
    moist = plates.per_cell(canvas.rng)
    stops = [
        (0.0, "060302"), (0.16, "1c0f08"), (0.32, "422513"), (0.48, "6e472a"), (0.62, "967150"),
        (0.76, "bb9f80"), (0.89, "ddcdb4"), (1.0, "f6efe2"),
    ]  # fmt: skip

    def shade(level: Array) -> Array:
        rgb = ramp(level + 1.05 * (field - 0.55), stops)
        # Plates differ a little between rust and lichen grey.
        return np.clip(rgb * (1 + (moist[..., None] - 0.5) * np.array([0.1, 0.0, -0.14])), 0, 1)

    return shade


def stone(canvas: Canvas) -> Shade:
    """Weathered rubble: bedded blue-grey blocks, worn round and cracked, packed close."""
    rng = canvas.rng
    x, y = canvas.grid()
    wx, wy = warp(canvas, x, y, 14, 3, 3)
    blocks = worley(canvas, wx, wy, 22, 17, 1.0)
    chips = worley(canvas, wx, wy, 19, 15, 1.0)
    grain = fbm(canvas, x, y, 9, 9, 2)
    pits = worley(canvas, *warp(canvas, x, y, 8, 1.5, 1.5), 5.5, 5.5, 1.0)
    # A third of the blocks are broken in two or three, along another set of cells.
    broken = blocks.per_cell(rng) < 0.35
    crack = np.where(broken, chips.edge + 0.3, 9.0)
    edge = np.minimum(blocks.edge + 0.6 * grain, crack + 0.4 * grain)
    dome = 1 - (1 - np.clip(edge / 5.0, 0, 1)) ** 2
    # Every block has its own tilted top, and strata in its own direction.
    bed, lean = blocks.per_cell(rng, 0, np.pi), blocks.per_cell(rng, 0, 2 * np.pi)
    along = np.cos(bed) * blocks.dx + np.sin(bed) * blocks.dy
    tilt = np.cos(lean) * blocks.dx + np.sin(lean) * blocks.dy
    strata = np.sin(2 * np.pi * (along + 2.2 * grain) / 5.5) * blocks.per_cell(rng, 0.2, 1)
    hollow = pits.per_cell(rng, 0, 1) ** 2 * (1 - smoothstep(0.5, 2.4, pits.f1))
    relief = blur(3.4 * dome, 1.5) + 0.2 * tilt + 0.34 * strata + 1.0 * grain - 0.9 * hollow
    gx, gy = slopes(relief)
    lit = np.tanh(0.75 * (gx + gy))
    tone = 0.55 + 0.27 * lit + 0.08 * strata + 0.15 * blocks.per_cell(rng, -1, 1) - 0.18 * hollow
    field = unit(tone * smoothstep(0.0, 2.4, edge))
    warm = blocks.per_cell(rng, -1, 1)
    stops = [
        (0.0, "030506"), (0.16, "10161b"), (0.32, "2a353e"), (0.48, "4c5b67"), (0.62, "768691"),
        (0.76, "a3b0b8"), (0.89, "d0d8dc"), (1.0, "f2f6f7"),
    ]  # fmt: skip

    def shade(level: Array) -> Array:
        rgb = ramp(level + 1.0 * (field - 0.55), stops)
        return np.clip(rgb * (1 + warm[..., None] * np.array([0.05, 0.0, -0.06])), 0, 1)

    return shade


def sand(canvas: Canvas) -> Shade:
    """Wind ripples: a long lit slope, a short dark lee, crests that fork and end."""
    x, y = canvas.grid()
    wave = ripples(canvas, 12.5)
    strength = smoothstep(0.1, 0.9, np.abs(wave))
    grain = fbm(canvas, x, y, 6, 5, 2)
    speck = band_noise(canvas.fine, canvas.rng, 4.2 * SUPERSAMPLE, 3.6 * SUPERSAMPLE)
    # How far along its ripple a place is: 0 in the trough, up the windward slope to the crest at
    # LEE, down the lee to 1.
    part = (np.angle(wave) / (2 * np.pi) + 0.03 * grain) % 1
    lee = 0.72
    climb = smoothstep(0.0, 1.0, part / lee)
    fall = smoothstep(0.0, 1.0, (1 - part) / (1 - lee))
    crest = np.where(part < lee, climb, fall)
    shadow = np.exp(-(((part - 0.86) / 0.085) ** 2))
    profile = 0.42 + 0.42 * crest**1.3 - 0.62 * shadow
    tone = 0.45 + strength * (profile - 0.45) + 0.05 * speck + 0.08 * grain
    field = unit(blur(tone, 1.2))
    stops = [
        (0.0, "0d0603"), (0.16, "331a08"), (0.32, "66390f"), (0.46, "96601f"), (0.60, "c48d40"),
        (0.74, "e2b96f"), (0.88, "f4dda8"), (1.0, "fff7e4"),
    ]  # fmt: skip

    def shade(level: Array) -> Array:
        return ramp(level + (0.6 + 0.3 * np.clip(level, 0, 1)) * (field - 0.5), stops)

    return shade


def ripples(canvas: Canvas, px: float) -> Array:
    """A complex wave field: its angle is the phase of near-level waves ``px`` px long.

    White noise through a one-sided Fourier band: parallel crests, and a fork at every zero of
    the modulus.
    """
    n = canvas.fine
    fy, fx = np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n)[None, :]
    across, along = fy * px * SUPERSAMPLE, fx * px * SUPERSAMPLE
    band = np.exp(-(((along - 0.14) / 0.3) ** 2) - ((across - 1.0) / 0.16) ** 2)
    wave = np.fft.ifft2(np.fft.fft2(canvas.rng.standard_normal((n, n))) * band)
    return wave / np.abs(wave).mean()


def lichen(canvas: Canvas) -> Shade:
    """Grey-green crusts on dark rock: lobed rosettes with orange cups, paler towards their rims."""
    rng = canvas.rng
    x, y = canvas.grid()
    n = canvas.fine
    bend_x, bend_y, grain = (fbm(canvas, x, y, px, px, 2) for px in (9, 9, 7))
    # A mosaic of small grey-green crusts first: it fills the gaps where it is bright.
    areoles = worley(canvas, x + 1.5 * bend_x, y + 1.5 * bend_y, 6.5, 6.5, 1.0)
    cover = areoles.edge - 2.2 - 1.6 * areoles.per_cell(rng)  # px; negative on bare rock
    tone = 0.42 + 0.25 * smoothstep(0, 2.5, areoles.edge)
    orange = np.zeros((n, n))
    small = scatter(canvas, 15, 15, 0.9)
    plants = np.concatenate([small, scatter(canvas, 20, 20, 0.9)])
    for plant, (cx, cy) in enumerate(plants):
        radius = rng.uniform(5.0, 7.5) if plant < len(small) else rng.uniform(8.5, 12.5)
        lobes = round(np.pi * radius / rng.uniform(4.0, 5.0))
        turn, phase = rng.uniform(0, 2 * np.pi, 2)
        at, dx, dy = window(canvas, cx, cy, radius * 1.6)
        dx, dy = dx + 1.7 * bend_x[at], dy + 1.7 * bend_y[at]
        r = np.hypot(dx, dy) + 1e-6
        theta = np.arctan2(dy, dx)
        # Round lobes with narrow clefts between them, no two of one width.
        wander = 0.9 * np.sin(2 * theta + phase) + 0.6 * np.sin(3 * theta + turn)
        finger = np.abs(np.cos(lobes * theta + turn + wander))
        lean = 0.10 * np.cos(theta - turn) + 0.09 * np.cos(2 * theta + phase)
        reach = radius * (0.88 + lean + 0.24 * np.sqrt(finger))
        inside = reach - r
        # The clefts run inwards and close towards the middle.
        cleft = smoothstep(0.25, 0.8, r / radius) * (1 - smoothstep(0.0, 0.55, finger))
        rim = np.exp(-(((inside - 2.0) / 1.3) ** 2))
        own = 0.56 + 0.24 * rim - 0.34 * cleft + rng.uniform(-0.1, 0.1)
        own = own - 0.10 * (dx + dy) / radius
        # Fruiting cups in the old middle: a pale ring about a darker disc.
        cups = np.zeros_like(own)
        for _ in range(1 + int(0.028 * radius**2 * rng.uniform(0.3, 1))):
            a, d = rng.uniform(0, 2 * np.pi), 0.55 * radius * np.sqrt(rng.uniform())
            to = np.hypot(dx - d * np.cos(a), dy - d * np.sin(a)) / rng.uniform(1.9, 2.7)
            disc, ring = np.exp(-(to**4)), np.exp(-(((to - 1.25) / 0.3) ** 2))
            own = own * (1 - 0.25 * disc) - 0.22 * ring
            cups = np.maximum(cups, disc)
        over = inside > np.where(cover[at] > 0, 0.0, np.minimum(cover[at], 0))
        tone[at] = np.where(over, own * smoothstep(-0.2, 1.6, inside), tone[at])
        orange[at] = np.where(over, cups, orange[at])
        cover[at] = np.where(over, inside, cover[at])
    boulder = worley(canvas, *warp(canvas, x, y, 12, 2, 2), 9, 9, 1.0)
    rock = 0.35 + 0.25 * grain + 0.25 * smoothstep(0, 2, boulder.edge)
    field = unit(blur(tone, 0.8) + 0.07 * grain, 2, 99)
    cover = blur(cover, 0.8)
    ground = [(0.0, "040506"), (0.3, "14171b"), (0.6, "2f343a"), (1.0, "6a7278")]
    crust = [
        (0.0, "050806"), (0.18, "18261e"), (0.36, "405a4a"), (0.52, "74937d"), (0.68, "a9c4ab"),
        (0.84, "d8e7d0"), (1.0, "f8fcf0"),
    ]  # fmt: skip
    cup = [
        (0.0, "0a0301"), (0.18, "3a0f02"), (0.36, "8a2d03"), (0.52, "d25a06"), (0.68, "f58a16"),
        (0.84, "ffbe4e"), (1.0, "fff0bc"),
    ]  # fmt: skip

    def shade(level: Array) -> Array:
        t = level + 0.9 * (field - 0.5)
        rgb = ramp(np.clip(level, 0, 1) * 0.6 + 0.5 * (rock - 0.4), ground)
        # Where it is dark the crusts draw back and leave bare rock.
        grown = smoothstep(-0.5, 0.5, cover + 2.6 * np.minimum(level, 1.2) - 0.9)
        grey = mix(rgb, ramp(t, crust), grown)
        return mix(grey, ramp(t, cup), grown * smoothstep(0.3, 0.7, orange))

    return shade


EARTH: dict[str, Material] = {"bark": bark, "stone": stone, "sand": sand, "lichen": lichen}
