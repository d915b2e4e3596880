"""Draw the seamless style exemplars that the example rule sets are trained on.

    python examples/styles/make_styles.py [--size 256] [--fine] [--out DIR] [--check] [name ...]

Every exemplar is procedural, deterministic by seed and tiles on a torus. All of them share one
brightness scale: a smooth light field b says where the material is dark and where it is bright,
and each material's own parameter (flame heat, crack width, frost ...) is solved until the local
mean luminance follows ``TARGET_DARK + TARGET_RANGE * b``: equal b is equal brightness, whatever
the material.

The materials are in one module a rule set, elements.py, earth.py and cosmos.py; canvas.py has what
they are drawn with.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from canvas import Array, Canvas, Material, Shade, band_noise, blur, enlarge, equalise, shrink
from cosmos import COSMOS
from earth import EARTH
from elements import ELEMENTS
from PIL import Image

REC709 = np.array([0.2126, 0.7152, 0.0722])
TARGET_DARK, TARGET_RANGE = 0.06, 0.66
LOCAL_SIGMA = 5.0  # px: what "local" mean luminance means

MATERIALS: dict[str, Material] = {**ELEMENTS, **EARTH, **COSMOS}


# --- light -------------------------------------------------------------------------------------


def light_field(size: int, rng: np.random.Generator) -> Array:
    """b(x, y): smooth, periodic, uniform in 0..1, varying over about 60-100 px."""
    return equalise(band_noise(size, rng, 85, 85))


def solve_light(shade: Shade, target: Array, steps: int = 60) -> Array:
    """The rgb whose blurred luminance follows ``target``, by moving the material's own level.

    Returns all its samples, not averaged yet. Errors below the dead zone are left alone: driving
    them to zero would flatten the very structures that the texture is made of.
    """
    level = target.copy()
    for _ in range(steps):
        samples = shade(enlarge(level))
        error = target - blur(shrink(samples) @ REC709, LOCAL_SIGMA)
        error = np.sign(error) * np.maximum(np.abs(error) - 0.025, 0)
        if np.abs(error).max() < 0.01:
            break
        level = np.clip(level + 0.9 * blur(error, 3.0), -1.5, 2.5)
    return samples


# --- drawing and checking ----------------------------------------------------------------------


def target_luminance(name: str, size: int, seed: int) -> Array:
    """The local mean luminance that an exemplar is solved for."""
    # Each material has its own light field: a shared one would teach place, not light.
    rng = np.random.default_rng([seed, *name.encode(), 1])
    return TARGET_DARK + TARGET_RANGE * light_field(size, rng)


def draw(name: str, size: int = 256, seed: int = 0, fine: bool = False) -> Array:
    """One exemplar, float rgb ``[H, W, 3]`` in 0..1, seamless on both axes.

    ``fine``: with every supersample as a pixel, ``SUPERSAMPLE`` times as many a side.
    """
    canvas = Canvas(size, np.random.default_rng([seed, *name.encode(), 0]))
    samples = solve_light(MATERIALS[name](canvas), target_luminance(name, size, seed))
    return np.clip(samples if fine else shrink(samples), 0, 1)


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
    parser.add_argument(
        "--fine", action="store_true", help="three times the pixels a side, for a decoder's rules"
    )
    parser.add_argument("--check", action="store_true", help="print a table of measurements")
    args = parser.parse_args()
    if args.fine and args.out == parser.get_default("out"):
        parser.error("--fine needs an --out of its own: these pictures have the presets' names")
    names = args.names or list(MATERIALS)
    if unknown := sorted(set(names) - set(MATERIALS)):
        parser.error(f"no material called {', '.join(unknown)}; there are {', '.join(MATERIALS)}")
    args.out.mkdir(parents=True, exist_ok=True)
    if args.check:
        print(CHECK_HEADER)
    for name in names:
        rgb = draw(name, args.size, args.seed, args.fine)
        Image.fromarray(np.round(rgb * 255).astype(np.uint8)).save(args.out / f"{name}.png")
        if args.check:
            coarse = shrink(rgb) if args.fine else rgb
            print(check(name, coarse, args.size, args.seed), flush=True)


if __name__ == "__main__":
    main()
