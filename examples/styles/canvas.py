"""A canvas that wraps, the noises drawn on it, and the small tools that every material shares.

Sources:
  K. Perlin, "An Image Synthesizer", SIGGRAPH 1985: gradient noise, here on a periodic lattice.
  S. Worley, "A Cellular Texture Basis Function", SIGGRAPH 1996: feature points, F1 and F2.
  I. Quilez, "Domain warping" (2002) and "Voronoi borders" (2012), iquilezles.org.
  F. K. Musgrave in Ebert et al., "Texturing and Modeling": ridged multifractals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

Array = np.ndarray
Shade = Callable[[Array], Array]  # level per pixel -> rgb [H, W, 3] in 0..1
Material = Callable[["Canvas"], Shade]

SUPERSAMPLE = 3  # everything is drawn this much finer, then averaged: that is the anti-aliasing


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


def slopes(height: Array) -> tuple[Array, Array]:
    """How fast a height in px rises to the right and downwards, wrapping."""
    x, y = ((np.roll(height, -2, a) - np.roll(height, 2, a)) * SUPERSAMPLE / 4 for a in (1, 0))
    return x, y


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
