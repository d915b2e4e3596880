"""Fire, moss, water, magma and ice."""

from __future__ import annotations

import numpy as np
from canvas import (
    SUPERSAMPLE,
    Array,
    Canvas,
    Cells,
    Material,
    Shade,
    band_noise,
    blur,
    equalise,
    fbm,
    mix,
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


def fire(canvas: Canvas) -> Shade:
    """Tongues of flame, back to front, bent by a rising flow."""
    tongues = np.zeros((canvas.fine, canvas.fine))
    rng = canvas.rng
    for cx, cy in scatter(canvas, 10, 14):
        height, width = rng.uniform(22, 44), rng.uniform(4.2, 7.5)
        sway, phase, heat = rng.uniform(-4, 4), rng.uniform(0, 6.28), rng.uniform(0.6, 1)
        at, dx, dy = window(canvas, cx, cy, height * 0.62)
        t = 0.5 - dy / height  # 0 at the root, 1 at the tip
        axis = sway * np.sin(2.6 * t + phase) * t
        # A leaf of flame: widest low down, drawn out to a point.
        inside = np.clip(t, 0, 1)
        half = width * 2.1 * np.sqrt(inside) * (1 - inside) ** 1.1
        across = np.abs(dx - axis) / np.maximum(half, 1e-3)
        body = np.clip(1 - across**2, 0, 1) * ((t > 0) & (t < 1))
        # The front tongue hides what is behind it only near its rim: that keeps a dark outline.
        # Its root fades in, or it would hang like a drop.
        root = smoothstep(0.0, 0.42, inside)
        own = heat * root * (body**0.8) * (1.15 - 0.8 * inside)
        cover = smoothstep(0, 0.25, body) * root
        tongues[at] = np.maximum(tongues[at] * (1 - 0.7 * cover), own)
    x, y = canvas.grid()
    x, y = warp(canvas, x, y, 28, 9, 9)
    licks = sample(tongues, x, y)
    filaments = ridged(canvas, x, y, 11, 34, 2)
    field = equalise(unit(licks) + 0.28 * unit(filaments))
    stops = [
        (0.0, "050203"), (0.14, "1c0404"), (0.30, "6b0a03"), (0.46, "c42404"), (0.60, "f25a08"),
        (0.74, "ff9c14"), (0.87, "ffd84a"), (1.0, "fffbe0"),
    ]  # fmt: skip

    def shade(level: Array) -> Array:
        return ramp(level + 0.95 * (field - 0.5), stops)

    return shade


def moss(canvas: Canvas) -> Shade:
    """Star moss: rosettes of pointed leaflets on uneven cushions."""
    rng = canvas.rng
    height = np.zeros((canvas.fine, canvas.fine))
    tint = np.zeros_like(height)
    # An undergrowth first, dimmer, so that no bare ground shows between the upper plants.
    under, over = scatter(canvas, 9, 9), scatter(canvas, 11, 11, 0.7)
    for plant, (cx, cy) in enumerate(np.concatenate([under, over])):
        turn, hue = rng.uniform(0, 6.28), rng.uniform(-1, 1)
        lift = rng.uniform(0.0, 0.22) - 0.28 * (plant < len(under))
        for ring, (leaves, reach) in enumerate([(8, 9.0), (6, 6.2), (5, 3.8)]):
            for leaf in range(leaves):
                angle = turn + ring * 0.7 + 6.283 * leaf / leaves + rng.uniform(-0.25, 0.25)
                length = reach * rng.uniform(0.8, 1.2)
                at, dx, dy = window(canvas, cx, cy, length)
                t = (dx * np.cos(angle) + dy * np.sin(angle)) / length
                side = -dx * np.sin(angle) + dy * np.cos(angle)
                inside = np.clip(t, 0, 1)
                half = 4.0 * inside**0.7 * (1 - inside) ** 0.8 + 1e-3
                across = side / half
                body = (np.abs(across) < 1) & (t > 0) & (t < 1)
                # Light falls from the upper left; each leaflet is a keel with a lit and a dim side.
                lit = 0.09 * np.tanh(3 * across) * np.sin(angle - 0.78)
                tone = 0.22 + lift + 0.13 * ring + 0.42 * inside - 0.22 * across**2 + lit
                height[at] = np.where(body, tone, height[at])
                tint[at] = np.where(body, hue, tint[at])
    x, y = canvas.grid()
    cushion = worley(canvas, *warp(canvas, x, y, 26, 6, 6), 27, 27, 0.9)
    dome = smoothstep(0, 7, cushion.edge)
    field = equalise(unit(height) * (0.55 + 0.45 * dome) + 0.12 * dome)
    shadow = [
        (0.0, "020503"), (0.18, "07190a"), (0.36, "134016"), (0.52, "2c6f1a"), (0.66, "5f9f1c"),
        (0.80, "a3cf2c"), (0.91, "d8ee52"), (1.0, "fbfcb0"),
    ]  # fmt: skip

    def shade(level: Array) -> Array:
        rgb = ramp(level + 0.95 * (field - 0.5), shadow)
        # Some rosettes lean to blue-green, some to yellow, as different plants do.
        return np.clip(rgb * (1 + tint[..., None] * np.array([0.12, 0.0, -0.18])), 0, 1)

    return shade


def water(canvas: Canvas) -> Shade:
    """Caustics under ripples: light traced through a wavy surface onto the ground."""
    x, y = canvas.grid()

    def caustic(px: float, focus: float) -> Array:
        # Rays leave a regular grid and are bent by the surface's slope; where many land, light
        # piles up into the folded lines of real caustics.
        surface = band_noise(canvas.fine, canvas.rng, px * 1.25 * SUPERSAMPLE, px * SUPERSAMPLE)
        sy, sx = (
            (np.roll(surface, -1, a) - np.roll(surface, 1, a)) * 0.5 * SUPERSAMPLE for a in (0, 1)
        )
        sub = (np.arange(3) - 1) / 3 / SUPERSAMPLE
        total = np.zeros(canvas.fine**2)
        for oy in sub:
            for ox in sub:
                lx = x + ox + focus * sample(sx, x + ox, y + oy)
                ly = y + oy + focus * sample(sy, x + ox, y + oy)
                ix = np.floor(lx * SUPERSAMPLE).astype(int) % canvas.fine
                iy = np.floor(ly * SUPERSAMPLE).astype(int) % canvas.fine
                total += np.bincount((iy * canvas.fine + ix).ravel(), minlength=total.size)
        return blur(total.reshape(x.shape) / 9, 1.3)

    light = np.log1p(caustic(22, 15)) + 0.45 * np.log1p(caustic(12, 5))
    ripple = fbm(canvas, *warp(canvas, x, y, 30, 8, 5), 20, 7, 2)
    field = equalise(unit(light) + 0.16 * ripple)
    stops = [
        (0.0, "010516"), (0.16, "03123a"), (0.32, "06356e"), (0.46, "0a6699"), (0.60, "159fb8"),
        (0.74, "56cfd2"), (0.87, "b4f0ea"), (1.0, "ffffff"),
    ]  # fmt: skip

    def shade(level: Array) -> Array:
        # A power on the field makes thin bright lines on broad dark ground.
        return ramp(level + 1.15 * (field**2 - 0.36), stops)

    return shade


def magma(canvas: Canvas) -> Shade:
    """Crust plates adrift: hard-edged polygons, glowing cracks that open with the heat."""
    x, y = canvas.grid()
    wx, wy = warp(canvas, x, y, 9, 1.6, 1.6)
    plates = worley(canvas, wx, wy, 19, 19, 0.95)
    shards = worley(canvas, wx, wy, 10, 10, 0.95)
    tilt = plates.per_cell(canvas.rng, 0, 2 * np.pi)
    slope = (np.cos(tilt) * plates.dx + np.sin(tilt) * plates.dy) / 19
    rough = fbm(canvas, wx, wy, 5, 5, 2)
    bevel = smoothstep(0, 2.2, shards.edge)
    rock = np.clip(0.45 + 0.5 * slope + 0.35 * rough, 0, 1) * (0.45 + 0.55 * bevel)
    # Hair cracks inside plates open later than the cracks between them.
    depth = np.minimum(plates.edge * plates.per_cell(canvas.rng, 0.75, 1.3), shards.edge + 1.8)
    crust = [(0.0, "060505"), (0.5, "2a2627"), (1.0, "6a6160")]
    glow = [
        (0.0, "3a0500"), (0.22, "a51a02"), (0.42, "f04a04"), (0.60, "ff8a0c"), (0.74, "ffc62e"),
        (0.86, "ffee80"), (1.0, "fffbe4"),
    ]  # fmt: skip

    def shade(level: Array) -> Array:
        opening = 0.15 + 6.2 * np.maximum(level, 0) ** 1.25
        into = opening - depth  # px inside the melt; negative on the crust
        melt = smoothstep(-0.35, 0.35, into)
        heat = 0.26 + 0.42 * level + 0.45 * np.clip(into / np.maximum(opening, 0.8), 0, 1)
        heat = heat + 0.10 * rough
        lava = ramp(heat, glow)
        stone = ramp(rock * (0.55 + 0.6 * np.clip(level, 0, 1)), crust)
        # The rim of a plate glows dull red from the heat beside it.
        rim = np.exp(-np.maximum(-into, 0) / 1.1) * np.clip(level * 1.6, 0, 0.75)
        stone = stone + rim[..., None] * np.array([0.62, 0.10, 0.01])
        return np.clip(mix(stone, lava, melt), 0, 1)

    return shade


def ice(canvas: Canvas) -> Shade:
    """Fractured ice: tilted facets in facets, bright cracks, frost on the upper edges."""
    x, y = canvas.grid()
    # A whole-number shear keeps the torus closed and lays long crystals along two diagonals.
    big = worley(canvas, x + y, y, 40, 17, 1.0)
    small = worley(canvas, x - y, y, 18, 9, 1.0)
    rng = canvas.rng

    def facets(cells: Cells, px: float) -> Array:
        """Each cell is a plane with its own tone and tilt: flat shading, hard edges."""
        angle = cells.per_cell(rng, 0, 2 * np.pi)
        return (
            cells.per_cell(rng, -0.5, 0.5)
            + 0.9 * (np.cos(angle) * cells.dx + np.sin(angle) * cells.dy) / px
        )

    plane = facets(big, 30) + 0.8 * facets(small, 14)
    grain = fbm(canvas, x, y, 4.5, 4.5, 1)
    crack = np.maximum(
        1 - smoothstep(0.35, 1.25, big.edge), 0.75 * (1 - smoothstep(0.2, 0.9, small.edge))
    )
    # Beside each bright crack lies a thin dark line: the refracted far side of the fracture.
    dark = np.exp(-(((big.edge - 2.0) / 0.8) ** 2)) * 0.35
    field = unit(equalise(plane) + 0.10 * grain - dark)
    stops = [
        (0.0, "030a26"), (0.18, "0b2358"), (0.36, "1d4f9c"), (0.52, "4686cf"), (0.68, "8cc3ee"),
        (0.82, "cbe8fa"), (0.92, "e8f5ff"), (1.0, "ffffff"),
    ]  # fmt: skip

    def shade(level: Array) -> Array:
        t = level + (0.75 + 0.35 * np.clip(level, 0, 1)) * (field - 0.5)
        lift = crack * (0.22 + 0.30 * np.clip(level, 0, 1))
        return ramp(t + lift, stops)

    return shade


ELEMENTS: dict[str, Material] = {
    "fire": fire, "moss": moss, "water": water, "magma": magma, "ice": ice,
}  # fmt: skip
