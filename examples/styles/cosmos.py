"""Nebula, aurora, crystal and circuits."""

from __future__ import annotations

import itertools

import numpy as np
from canvas import (
    SUPERSAMPLE,
    Array,
    Canvas,
    Material,
    Shade,
    blur,
    equalise,
    fbm,
    mix,
    perlin,
    ramp,
    ridged,
    sample,
    scatter,
    smoothstep,
    unit,
    warp,
    window,
    worley,
)  # fmt: skip


def nebula(canvas: Canvas) -> Shade:
    """Curling gas, rose and teal, behind dark dust lanes, with stars of three sizes."""
    rng = canvas.rng
    x, y = canvas.grid()
    wx, wy = warp(canvas, x, y, 34, 15, 15)
    wx, wy = warp(canvas, wx, wy, 15, 6, 6)
    gas = fbm(canvas, wx, wy, 30, 30, 4)
    wisps = ridged(canvas, wx, wy, 19, 13, 3)
    veils = ridged(canvas, wx, wy, 8, 6, 2)
    dust = smoothstep(0.5, 0.95, ridged(canvas, wx + 40, wy, 30, 22, 2))
    field = equalise(0.7 * unit(gas) + unit(wisps) + 0.4 * unit(veils) - 0.9 * dust)
    hue = smoothstep(-0.28, 0.28, fbm(canvas, wx, wy, 40, 40, 2) + 0.25 * (wisps - 0.5))
    stars = np.zeros_like(field)
    for cx, cy in scatter(canvas, 10, 10, 1.0):
        size = rng.choice([0.55, 0.85, 1.35], p=[0.55, 0.33, 0.12])
        at, dx, dy = window(canvas, cx, cy, 9)
        r2 = dx**2 + dy**2
        core = np.exp(-r2 / (2 * size**2)) + 0.13 * np.exp(-r2 / (2 * (3 * size) ** 2))
        stars[at] = np.maximum(stars[at], core * rng.uniform(0.6, 1.2))
    rose = [
        (0.0, "04020a"), (0.16, "1a0628"), (0.32, "4d0d4f"), (0.48, "9c1d63"), (0.62, "e0456a"),
        (0.76, "ff8f80"), (0.89, "ffd3b8"), (1.0, "fff6ec"),
    ]  # fmt: skip
    teal = [
        (0.0, "01030c"), (0.16, "071236"), (0.32, "0c2f70"), (0.48, "14609d"), (0.62, "2b9cb8"),
        (0.76, "72d2d0"), (0.89, "c4f3e6"), (1.0, "f4fffb"),
    ]  # fmt: skip

    def shade(level: Array) -> Array:
        t = level + 1.0 * (field - 0.5)
        gas = mix(ramp(t, teal), ramp(t, rose), hue)
        shine = np.clip(stars * (0.35 + 1.1 * np.clip(level, 0, 1)), 0, 1)
        return mix(gas, np.ones_like(gas) * np.array([1.0, 0.98, 0.94]), shine)

    return shade


def aurora(canvas: Canvas) -> Shade:
    """Curtains of northern light: a sharp hem, rays that rise and fade from green to violet."""
    rng = canvas.rng
    x, y = canvas.grid()
    shape = (canvas.fine, canvas.fine)
    glow, height = np.zeros(shape), np.zeros(shape)
    wave = 2 * np.pi * x[0] / canvas.size
    hems = canvas.cells(21)
    for hem in range(hems):
        drift = sum(
            rng.uniform(0.5, 1) * 16 / k * np.sin(k * wave + rng.uniform(0, 6.28))
            for k in (1, 2, 3, 5, 8, 13)
        )
        line = (hem + rng.uniform(-0.3, 0.3)) * canvas.size / hems + drift
        # Rays: narrow columns of their own strength and height, leaning with the field lines.
        strength = 0.55 * rays(canvas, rng, 16) + 0.45 * rays(canvas, rng, 5.5)
        rise = 7 + 20 * rays(canvas, rng, 19) ** 2
        above = (line[None, :] - y + canvas.size / 2) % canvas.size - canvas.size / 2
        body = np.where(
            above > 0, np.exp(-np.maximum(above, 0) / rise[None, :]), np.exp(above / 0.9)
        )
        body = body * (0.1 + 0.9 * strength[None, :]) * smoothstep(0.1, 0.6, strength)[None, :]
        front = body > glow
        height = np.where(front, np.clip(above / (1.6 * rise[None, :]), 0, 1), height)
        glow = np.maximum(glow, body)
    # The curtains sway: what hung straight leans one way here and another there.
    bent = warp(canvas, x, y, 42, 13, 6)
    glow, height = sample(blur(glow, 1.2), *bent), sample(height, *bent)
    haze = fbm(canvas, *bent, 40, 22, 3)
    field = equalise(unit(glow) + 0.12 * unit(haze))
    night = [
        (0.0, "01030a"), (0.20, "051530"), (0.36, "07403f"), (0.50, "0b7a4c"), (0.64, "21bf5a"),
        (0.78, "74f07f"), (0.90, "ccffc0"), (1.0, "f9fff2"),
    ]  # fmt: skip
    violet = [
        (0.0, "02020b"), (0.20, "120a38"), (0.36, "331263"), (0.50, "62208f"), (0.64, "9f42bd"),
        (0.78, "d384de"), (0.90, "f3c6f2"), (1.0, "fff3ff"),
    ]  # fmt: skip
    upper = smoothstep(0.4, 1.0, height + 0.12 * haze)

    def shade(level: Array) -> Array:
        t = level + 1.05 * (field - 0.5)
        return mix(ramp(t, night), ramp(t, violet), upper)

    return shade


def rays(canvas: Canvas, rng: np.random.Generator, px: float) -> Array:
    """One periodic row of smooth random heights, uniform in 0..1, of features ``px`` px wide."""
    n = canvas.fine
    octave = np.fft.rfftfreq(n) * px * SUPERSAMPLE
    band = np.exp(-(((octave - 1) / 0.45) ** 2))
    band[0] = 0
    row = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * band, n)
    return equalise(row)


def crystal(canvas: Canvas) -> Shade:
    """An amethyst druse from above: six-sided points, flat facets, bright ridges, dark gaps."""
    rng = canvas.rng
    x, y = canvas.grid()
    big = worley(canvas, x, y, 24, 24, 1.0)
    turn = big.per_cell(rng, 0, 2 * np.pi)
    # The summit of a point is off its middle: it leans towards whoever looks at it.
    lean, way = big.per_cell(rng, 0.5, 5.0), big.per_cell(rng, 0, 2 * np.pi)
    dx, dy = big.dx - lean * np.cos(way), big.dy - lean * np.sin(way)
    angle = np.arctan2(dy, dx) - turn
    sector = np.pi / 3
    part = np.floor(angle / sector)
    within = angle - (part + 0.5) * sector  # -30..30 degrees from the facet's middle
    radius = np.hypot(dx, dy)
    apothem = radius * np.cos(within)  # straight across: facets are planes
    ridge = radius * np.abs(np.sin(np.abs(within) - sector / 2))  # px to the nearest ridge
    facing = turn + (part + 0.5) * sector
    light = np.cos(facing - 0.75 * np.pi - np.pi)  # lit from the upper left
    # Two tiers: a steep crown and a flatter shoulder, set off by one more edge.
    tier_at = big.per_cell(rng, 3.5, 7.0)
    crown = apothem < tier_at
    own = rng.uniform(-1, 1, (big.count, 12))[big.index, (part.astype(int) % 6) + 6 * crown]
    tone = 0.5 + np.where(crown, 0.5, 0.36) * light + np.where(crown, 0.1, -0.06) + 0.2 * own
    tone = tone - 0.012 * apothem + big.per_cell(rng, -0.1, 0.1)
    inner = fbm(canvas, *warp(canvas, x, y, 14, 4, 4), 11, 5, 2)
    tone = tone + 0.1 * inner
    gleam = np.exp(-((ridge / 0.6) ** 2)) * smoothstep(0.4, 1.6, radius)
    gleam = np.maximum(gleam, 0.8 * np.exp(-(((apothem - tier_at) / 0.55) ** 2)))
    gap = smoothstep(0.2, 1.8, big.edge)
    field = unit((tone + 0.3 * gleam * (0.5 + 0.5 * light)) * gap)
    warm = big.per_cell(rng, -1, 1)
    stops = [
        (0.0, "04010a"), (0.16, "180730"), (0.32, "37145f"), (0.48, "612a96"), (0.62, "9152c4"),
        (0.76, "c090e6"), (0.89, "e7cdf8"), (1.0, "fffaff"),
    ]  # fmt: skip

    def shade(level: Array) -> Array:
        rgb = ramp(level + 1.05 * (field - 0.5), stops)
        return np.clip(rgb * (1 + warm[..., None] * np.array([0.10, 0.02, -0.04])), 0, 1)

    return shade


def circuits(canvas: Canvas) -> Shade:
    """A lit circuit board: copper traces at 45 and 90 degrees, ringed vias, current in some."""
    rng = canvas.rng
    x, y = canvas.grid()
    n = canvas.cells(6.5)
    pitch = canvas.size / n
    shape = (canvas.fine, canvas.fine)
    trace, ring, hole, live = (np.full(shape, 99.0) for _ in range(4))

    def segment(a: Array, b: Array, into: Array) -> None:
        middle, half = (a + b) / 2, (b - a) / 2
        at, dx, dy = window(canvas, *middle, pitch * 1.6)
        along = np.clip((dx * half[0] + dy * half[1]) / (half @ half), -1, 1)
        away = np.hypot(dx - along * half[0], dy - along * half[1])
        into[at] = np.minimum(into[at], away)

    for path, powered in routes(n, rng):
        for a, b in itertools.pairwise(path):
            segment(a * pitch, b * pitch, trace)
            if powered:
                segment(a * pitch, b * pitch, live)
        for end in (path[0], path[-1]):
            at, dx, dy = window(canvas, *(end * pitch), pitch)
            r = np.hypot(dx, dy)
            ring[at] = np.minimum(ring[at], np.abs(r - 1.85))
            hole[at] = np.minimum(hole[at], r)
    metal = np.maximum(1 - smoothstep(0.55, 1.25, trace), 1 - smoothstep(0.5, 1.1, ring))
    metal = metal * smoothstep(0.7, 1.4, hole)
    current = np.exp(-((live / 2.6) ** 2)) * smoothstep(0.7, 1.4, hole)
    board = 0.22 + 0.12 * perlin(canvas, x, y, 30, 30)
    # Etched metal stands a little proud of the board: lit on one side, in its own shade on the
    # other.
    height = blur(metal, 1.0)
    slope = np.roll(height, -2, (0, 1)) - np.roll(height, 2, (0, 1))
    gold = smoothstep(0.1, 0.9, metal) * (1 - smoothstep(0.3, 0.8, current))
    field = unit(board + 0.55 * metal + 0.45 * current - 0.4 * slope, 0.5, 99.5)
    board_stops = [
        (0.0, "010508"), (0.16, "04161d"), (0.32, "06353a"), (0.48, "0a6a5f"), (0.62, "18a884"),
        (0.76, "5fe0b5"), (0.89, "bdfbe0"), (1.0, "f5fffb"),
    ]  # fmt: skip
    gold_stops = [
        (0.0, "060301"), (0.16, "231304"), (0.32, "583409"), (0.48, "97651a"), (0.62, "d19a3a"),
        (0.76, "f2cd7c"), (0.89, "fdeecb"), (1.0, "fffdf6"),
    ]  # fmt: skip

    def shade(level: Array) -> Array:
        t = level + (0.75 + 0.3 * np.clip(level, 0, 1)) * (field - 0.42)
        return mix(ramp(t, board_stops), ramp(t, gold_stops), gold)

    return shade


def routes(n: int, rng: np.random.Generator) -> list[tuple[list[Array], bool]]:
    """Traces on an ``n`` x ``n`` torus of nodes that never touch: paths in nodes, and who is live.

    A path is not wrapped: its nodes may lie beyond the torus, and whoever draws it wraps.
    """
    ways = np.array([(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)])
    taken = np.zeros((n, n), dtype=bool)
    found = []
    for start in rng.permutation(n * n):
        node = np.array(divmod(start, n))
        if taken[tuple(node)]:
            continue
        path, heading = [node], rng.integers(0, 8)
        taken[tuple(node)] = True
        for _ in range(rng.integers(3, 14)):
            turns = rng.permutation([-1, 1]) if rng.random() < 0.28 else np.array([0])
            for turn in (*turns, 0, *rng.permutation([-1, 1])):
                way = ways[(heading + turn) % 8]
                ahead = (path[-1] + way) % n
                # Two diagonals would cross between four nodes, were both of its sides taken.
                sides = taken[tuple((path[-1] + [way[0], 0]) % n)], taken[
                    tuple((path[-1] + [0, way[1]]) % n)
                ]  # fmt: skip
                if taken[tuple(ahead)] or (way.all() and all(sides)):
                    continue
                heading = (heading + turn) % 8
                path.append(path[-1] + way)
                taken[tuple(ahead)] = True
                break
            else:
                break
        found.append((path, bool(rng.random() < 0.3)))
    return found


COSMOS: dict[str, Material] = {
    "nebula": nebula, "aurora": aurora, "crystal": crystal, "circuits": circuits,
}  # fmt: skip
