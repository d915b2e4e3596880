"""Structure of fractals at every scale, and the time of a large one.

    python benchmarks/fractal.py [--size 768] [--large 7680x4320]

The radially averaged power spectrum of luminance, from 3 cycles a picture to a quarter of a cycle a
pixel, in thirds of an octave, in log-log axes. *distance*: how far it is (root mean square, in
decades) from the power law 1/f^2 of natural scenes (Field 1987), at its own height; *residual*:
from the straight line of any slope that fits it best; *slope*: of that line. A picture of one scale
has most of its power near that scale, and less at each coarser one.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import time

import numpy as np
import results

from ncavideo.nca.ruleset import find_ruleset
from ncavideo.still.fractal import grow_fractal
from ncavideo.still.options import StillOptions
from ncavideo.util.pixels import LUMINANCE

RULES = ("moss", "magma", "water", "stone", "bark", "nebula", "crystal")


def measured(picture: np.ndarray) -> tuple[float, float, float]:
    """Return the distance from 1/f^2, that from the best straight line, and the line's slope."""
    luma = picture.astype(np.float32) @ LUMINANCE
    size = min(luma.shape)
    luma = luma[:size, :size] * np.outer(np.hanning(size), np.hanning(size))
    power = np.abs(np.fft.fft2(luma - luma.mean())) ** 2
    along = np.fft.fftfreq(size) * size
    radius = np.hypot(along[:, None], along[None])
    edges = np.exp2(np.arange(np.log2(3), np.log2(size / 4), 1 / 3))
    means, middles = [], []
    for low, high in itertools.pairwise(edges):
        ring = (radius >= low) & (radius < high)
        if ring.any():
            means.append(np.log10(power[ring].mean()))
            middles.append(np.log10((low * high) ** 0.5))
    line = np.polyfit(middles, means, 1)
    law = np.std(np.array(means) + 2 * np.array(middles))
    return float(law), float(np.std(np.polyval(line, middles) - means)), float(line[0])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=768)
    parser.add_argument("--large", default="7680x4320")
    results.add_record(parser)
    arguments = parser.parse_args()
    size = arguments.size
    kinds = {"one scale": (0, 2.0), "2 levels of 3": (2, 3.0), "3 levels of 2": (3, 2.0)}
    measures = ("distance", "residual", "slope")
    numbers = {f"{kind}: {measure}": ".2f" for kind in kinds for measure in measures}
    spectra = results.Table("spectra", {"rule": "", **numbers})
    for rule in RULES:
        ruleset = find_ruleset((rule,))
        cells: list[float] = []
        for levels, scale in kinds.values():
            options = StillOptions({rule: 1.0}, fractal=levels, scale=scale, level_steps=96)
            cells += measured(np.asarray(grow_fractal(ruleset, options, size, size)))
        spectra.add(rule, *cells)
    width, height = (int(side) for side in arguments.large.split("x"))
    options = StillOptions({"stone": 1.0}, fractal=4, scale=3.0)
    begin = time.perf_counter()
    grow_fractal(find_ruleset(("stone",)), options, height, width)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    large = results.Table("large", {"size": "", "levels": "", "seconds": ".0f", "GB": ".2f"})
    large.add(f"{width}x{height}", options.fractal, seconds, peak)
    results.record(arguments, "fractal", spectra, large)


if __name__ == "__main__":
    main()
