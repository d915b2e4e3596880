"""Draw the seamless style exemplars that the example rule sets are trained on.

    python examples/styles/make_styles.py [--size 256] [--out DIR] [--check] [name ...]

Every exemplar is procedural, deterministic by seed and tiles on a torus. All of them share one
brightness scale: a smooth light field b says where the material is dark and where it is bright,
and each material's own parameter (flame heat, crack width, frost ...) is solved until the local
mean luminance follows ``TARGET_DARK + TARGET_RANGE * b``: equal b is equal brightness, whatever
the material.

Sources:
  K. Perlin, "An Image Synthesizer", SIGGRAPH 1985: gradient noise, here on a periodic lattice.
  S. Worley, "A Cellular Texture Basis Function", SIGGRAPH 1996: feature points, F1 and F2.
  I. Quilez, "Domain warping" (2002) and "Voronoi borders" (2012), iquilezles.org.
  F. K. Musgrave in Ebert et al., "Texturing and Modeling": ridged multifractals.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

Array = np.ndarray
Shade = Callable[[Array], Array]  # level per pixel -> rgb [H, W, 3] in 0..1

SUPERSAMPLE = 3  # everything is drawn this much finer, then averaged: that is the anti-aliasing
REC709 = np.array([0.2126, 0.7152, 0.0722])
TARGET_DARK, TARGET_RANGE = 0.06, 0.66
LOCAL_SIGMA = 5.0  # px: what "local" mean luminance means


# --- a canvas and its noises -------------------------------------------------------------------


@dataclass(frozen=True)
class Canvas:
    """A torus of ``size`` px, sampled ``SUPERSAMPLE`` times finer; x and y are in px."""

    size: int
    rng: np.random.Generator

    @property
    def fine(self) -> int:
        """The number of samples along a side."""
        return self.size * SUPERSAMPLE

    def grid(self) -> tuple[Array, Array]:
        """Return the x and y of every sample, in px."""
        axis = (np.arange(self.fine) + 0.5) / SUPERSAMPLE
        y, x = np.meshgrid(axis, axis, indexing="ij")
        return x, y

    def cells(self, px: float) -> int:
        """How many features of about ``px`` px fit; a whole number, so that the torus closes."""
        return max(1, round(self.size / px))


def perlin(canvas: Canvas, x: Array, y: Array, px_x: float, px_y: float) -> Array:
    """Periodic gradient noise (Perlin 1985; quintic fade of 2002), about -1..1."""
    nx, ny = canvas.cells(px_x), canvas.cells(px_y)
    angle = canvas.rng.uniform(0, 2 * np.pi, (ny, nx))
    gx, gy = np.cos(angle), np.sin(angle)
    u, v = x * nx / canvas.size, y * ny / canvas.size
    iu, iv = np.floor(u).astype(int), np.floor(v).astype(int)
    fu, fv = u - iu, v - iv

    def corner(dx: int, dy: int) -> Array:
        row, col = (iv + dy) % ny, (iu + dx) % nx
        return gx[row, col] * (fu - dx) + gy[row, col] * (fv - dy)

    su, sv = (t * t * t * (t * (t * 6 - 15) + 10) for t in (fu, fv))
    top = corner(0, 0) * (1 - su) + corner(1, 0) * su
    bottom = corner(0, 1) * (1 - su) + corner(1, 1) * su
    return 1.5 * (top * (1 - sv) + bottom * sv)


def fbm(canvas: Canvas, x: Array, y: Array, px_x: float, px_y: float, octaves: int = 3) -> Array:
    """1/f noise: octaves of ``perlin``, each half the size and half the height."""
    layers = (perlin(canvas, x, y, px_x / 2**o, px_y / 2**o) * 0.5**o for o in range(octaves))
    return sum(layers) / (2 - 0.5 ** (octaves - 1))


def ridged(canvas: Canvas, x: Array, y: Array, px_x: float, px_y: float, octaves: int = 2) -> Array:
    """Musgrave's ridges: bright creases where the noise crosses zero, 0..1."""
    layers = (
        (1 - np.abs(perlin(canvas, x, y, px_x / 2**o, px_y / 2**o))) ** 2 * 0.5**o
        for o in range(octaves)
    )
    return sum(layers) / (2 - 0.5 ** (octaves - 1))


def band_noise(size: int, rng: np.random.Generator, px_x: float, px_y: float) -> Array:
    """Smooth noise of one scale: white noise through a Fourier band-pass, unit variance.

    Periodic by nature, and without the lattice directions of ``perlin``.
    """
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    octave = np.hypot(fx * px_x, fy * px_y)
    band = np.exp(-(((octave - 1) / 0.3) ** 2))
    band[0, 0] = 0
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * band, (size, size))
    return noise / noise.std()


def warp(
    canvas: Canvas, x: Array, y: Array, px: float, amount_x: float, amount_y: float
) -> tuple[Array, Array]:
    """Domain warping (Quilez 2002): coordinates displaced by noise, ``amount`` px."""
    dx = fbm(canvas, x, y, px, px, 2)
    dy = fbm(canvas, x, y, px, px, 2)
    return x + amount_x * dx, y + amount_y * dy


@dataclass(frozen=True)
class Cells:
    """Worley noise at every sample; distances are in px."""

    f1: Array
    edge: Array  # to the nearest border between two cells
    index: Array  # which cell
    dx: Array  # from the cell's feature point
    dy: Array
    count: int

    def per_cell(self, rng: np.random.Generator, low: float = 0.0, high: float = 1.0) -> Array:
        """One random value a cell."""
        return rng.uniform(low, high, self.count)[self.index]


def worley(canvas: Canvas, x: Array, y: Array, px_x: float, px_y: float, jitter: float) -> Cells:
    """Periodic cellular noise (Worley 1996) with true border distances (Quilez 2012).

    F2 - F1 narrows and widens along a border; the distance to the bisector does not, so cracks
    drawn from it keep their width.
    """
    nx, ny = canvas.cells(px_x), canvas.cells(px_y)
    col, row = np.meshgrid(np.arange(nx), np.arange(ny))
    # Odd rows are shifted half a cell, or the unjittered lattice shows through.
    px = col + 0.5 * (row % 2) + 0.5 + jitter * canvas.rng.uniform(-0.5, 0.5, col.shape)
    py = row + 0.5 + jitter * canvas.rng.uniform(-0.5, 0.5, col.shape)
    box = np.array([nx, ny], dtype=float)
    points = np.stack([px.ravel(), py.ravel()], 1) % box
    here = np.stack([x.ravel() * nx / canvas.size, y.ravel() * ny / canvas.size], 1) % box
    _, near = cKDTree(points, boxsize=box).query(here, k=5)
    # Offsets to the five nearest points the short way round the torus; then lattice units to px,
    # measured against the smaller side so that long cells get cracks as thin as round ones.
    offset = points[near] - here[:, None]
    offset -= box * np.round(offset / box)
    to_px = np.array([canvas.size / nx, canvas.size / ny])
    metric = min(to_px)
    first = offset[:, :1]
    between = offset[:, 1:] - first
    length = np.linalg.norm(between, axis=2)
    border = np.sum(0.5 * (first + offset[:, 1:]) * between, axis=2) / length
    shape = x.shape
    return Cells(
        f1=np.linalg.norm(offset[:, 0], axis=1).reshape(shape) * metric,
        edge=border.min(axis=1).reshape(shape) * metric,
        index=near[:, 0].reshape(shape),
        dx=(-offset[:, 0, 0] * to_px[0]).reshape(shape),
        dy=(-offset[:, 0, 1] * to_px[1]).reshape(shape),
        count=nx * ny,
    )


def scatter(canvas: Canvas, px_x: float, px_y: float, jitter: float = 0.9) -> Array:
    """Jittered lattice points, ``[N, 2]`` in px, in random order."""
    nx, ny = canvas.cells(px_x), canvas.cells(px_y)
    col, row = np.meshgrid(np.arange(nx), np.arange(ny))
    lattice = np.stack([(col + 0.5 * (row % 2)).ravel(), row.ravel()], 1).astype(float)
    lattice += jitter * canvas.rng.uniform(-0.5, 0.5, lattice.shape)
    points = lattice * [canvas.size / nx, canvas.size / ny]
    return canvas.rng.permutation(points) % canvas.size


def window(canvas: Canvas, cx: float, cy: float, radius: float) -> tuple[tuple, Array, Array]:
    """The samples within ``radius`` px of a point: their wrapped index, and dx, dy in px."""
    reach = int(np.ceil(radius * SUPERSAMPLE))
    ix = int(cx * SUPERSAMPLE) + np.arange(-reach, reach + 1)
    iy = int(cy * SUPERSAMPLE) + np.arange(-reach, reach + 1)
    dx = (ix + 0.5) / SUPERSAMPLE - cx
    dy = (iy + 0.5) / SUPERSAMPLE - cy
    return np.ix_(iy % canvas.fine, ix % canvas.fine), dx[None, :], dy[:, None]


def sample(field: Array, x: Array, y: Array) -> Array:
    """A fine field looked up at px coordinates, wrapping."""
    at = [y * SUPERSAMPLE - 0.5, x * SUPERSAMPLE - 0.5]
    return map_coordinates(field, at, order=1, mode="grid-wrap")


# --- small tools -------------------------------------------------------------------------------


def smoothstep(low: float | Array, high: float | Array, t: Array) -> Array:
    """Return 0 below `low`, 1 above `high`, and a smooth cubic between."""
    t = np.clip((t - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def equalise(field: Array) -> Array:
    """Rank-map a field to uniform 0..1."""
    rank = np.empty(field.size)
    rank[np.argsort(field, axis=None, kind="stable")] = np.linspace(0, 1, field.size)
    return rank.reshape(field.shape)


def unit(field: Array, low: float = 1, high: float = 99) -> Array:
    """Stretch a field to 0..1 between two percentiles."""
    a, b = np.percentile(field, [low, high])
    return np.clip((field - a) / (b - a), 0, 1)


def ramp(t: Array, stops: list[tuple[float, str]]) -> Array:
    """A colour ramp: hex stops, linear between them."""
    at = [s for s, _ in stops]
    rgb = np.array([[int(h[i : i + 2], 16) / 255 for i in (0, 2, 4)] for _, h in stops])
    return np.stack([np.interp(t, at, rgb[:, c]) for c in range(3)], axis=-1)


def mix(a: Array, b: Array, weight: Array) -> Array:
    """Blend two colour images."""
    return a + (b - a) * weight[..., None]


def blur(field: Array, sigma: float) -> Array:
    """Blur with a Gaussian of `sigma` samples, wrapping."""
    return gaussian_filter(field, sigma, mode="wrap")


def shrink(field: Array) -> Array:
    """Average the supersamples."""
    h, w = field.shape[:2]
    s = SUPERSAMPLE
    return field.reshape(h // s, s, w // s, s, *field.shape[2:]).mean(axis=(1, 3))


def enlarge(field: Array) -> Array:
    """A smooth field at px resolution, at supersample resolution."""
    axis = (np.arange(field.shape[0] * SUPERSAMPLE) + 0.5) / SUPERSAMPLE - 0.5
    at = np.meshgrid(axis, axis, indexing="ij")
    return map_coordinates(field, at, order=1, mode="grid-wrap")


# --- light -------------------------------------------------------------------------------------


def light_field(size: int, rng: np.random.Generator) -> Array:
    """b(x, y): smooth, periodic, uniform in 0..1, varying over about 60-100 px."""
    return equalise(band_noise(size, rng, 85, 85))


def solve_light(shade: Shade, target: Array, steps: int = 60) -> Array:
    """The rgb whose blurred luminance follows ``target``, by moving the material's own level.

    Errors below the dead zone are left alone: driving them to zero would flatten the very
    structures that the texture is made of.
    """
    level = target.copy()
    for _ in range(steps):
        rgb = shrink(shade(enlarge(level)))
        error = target - blur(rgb @ REC709, LOCAL_SIGMA)
        error = np.sign(error) * np.maximum(np.abs(error) - 0.025, 0)
        if np.abs(error).max() < 0.01:
            break
        level = np.clip(level + 0.9 * blur(error, 3.0), -1.5, 2.5)
    return np.clip(rgb, 0, 1)


# --- materials: each returns its shade(level) --------------------------------------------------


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


MATERIALS: dict[str, Callable[[Canvas], Shade]] = {
    "fire": fire, "moss": moss, "water": water, "magma": magma, "ice": ice, "bark": bark,
}  # fmt: skip


# --- drawing and checking ----------------------------------------------------------------------


def target_luminance(name: str, size: int, seed: int) -> Array:
    """The local mean luminance that an exemplar is solved for."""
    # Each material has its own light field: a shared one would teach place, not light.
    rng = np.random.default_rng([seed, *name.encode(), 1])
    return TARGET_DARK + TARGET_RANGE * light_field(size, rng)


def draw(name: str, size: int = 256, seed: int = 0) -> Array:
    """One exemplar, float rgb ``[H, W, 3]`` in 0..1, seamless on both axes."""
    canvas = Canvas(size, np.random.default_rng([seed, *name.encode(), 0]))
    return solve_light(MATERIALS[name](canvas), target_luminance(name, size, seed))


def check(name: str, rgb: Array, size: int, seed: int) -> str:
    """One line of the --check table."""
    luma = rgb @ REC709
    local = blur(luma, LOCAL_SIGMA)
    error = local - target_luminance(name, size, seed)
    side = 24
    whole = size // side * side
    patches = luma[:whole, :whole].reshape(whole // side, side, whole // side, side)
    patches = patches.swapaxes(1, 2).reshape(-1, side * side)
    means, spread = patches.mean(1), patches.std(1)
    mid = spread[(means > 0.25) & (means < 0.55)]
    power = np.abs(np.fft.fft2(luma - luma.mean())) ** 2
    f = np.abs(np.fft.fftfreq(size))
    nyquist = power[np.maximum(f[:, None], f[None, :]) > 0.45].sum() / power.sum()
    seams = []
    for axis in (0, 1):
        step = np.abs(luma - np.roll(luma, 1, axis)).mean(axis=1 - axis)
        seams.append(step[0] / step[1:].mean())  # index 0 is the step across the wrap
    tail = np.percentile(np.abs(error), 95)
    return (
        f"{name:6} " + " ".join(f"{p:5.2f}" for p in np.percentile(local, [5, 25, 50, 75, 95]))
        + f"  {tail:6.3f} {np.abs(error).max():6.3f}"
        + f"  {np.median(spread):6.3f} {mid.min():6.3f}"
        + f"  {100 * nyquist:7.3f}  {seams[0]:5.2f} {seams[1]:5.2f}"
    )  # fmt: skip


CHECK_HEADER = (
    "name   local luminance p5..p95        |error|        contrast      Nyquist  seam/interior\n"
    "          5    25    50    75    95     p95    max     med midmin  % power   rows  cols"
)


def main() -> None:
    """Draw and save, or check, the named exemplars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(MATERIALS)}")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--check", action="store_true", help="print a table of measurements")
    args = parser.parse_args()
    names = args.names or list(MATERIALS)
    if unknown := sorted(set(names) - set(MATERIALS)):
        parser.error(f"no material called {', '.join(unknown)}; there are {', '.join(MATERIALS)}")
    args.out.mkdir(parents=True, exist_ok=True)
    if args.check:
        print(CHECK_HEADER)
    for name in names:
        rgb = draw(name, args.size, args.seed)
        Image.fromarray(np.round(rgb * 255).astype(np.uint8)).save(args.out / f"{name}.png")
        if args.check:
            print(check(name, rgb, args.size, args.seed), flush=True)


if __name__ == "__main__":
    main()
