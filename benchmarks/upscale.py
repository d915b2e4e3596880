"""Ways to enlarge a texture, against the texture itself at the larger size.

    python benchmarks/upscale.py [--ratio 4]

Rules are grown, shrunk by area and enlarged back. *PSNR* in dB; *sharpness*: energy of the fine
detail (what a Gaussian of one cell takes away) over the original's; *overshoot*: share of the
pixels that leave the range of the 3x3 cells around them by more than 2 %, rings; *blocks*: mean
step of luminance across the borders of cells over that inside them, over the same of the original
(1: no cell shows); *core-ms*: CPU time of a whole frame from so coarse a grid.

The original is itself a grown texture, enlarged twofold by cubic interpolation: PSNR and sharpness
say how much of that comes back, not how a finer grid would have grown.
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np
import results

from ncavideo.composite.upscale import UPSCALERS
from ncavideo.nca.grow import grow
from ncavideo.nca.ruleset import find_ruleset
from ncavideo.util.pixels import LUMINANCE

RULES = ("fire", "moss", "bark", "circuits")
SIDE = 384
FRAMES = ((1920, 1080), (3840, 2160))


def fine(luma: np.ndarray, ratio: int) -> float:
    """Return the energy of a picture's fine detail."""
    return float(np.square(luma - cv2.GaussianBlur(luma, (0, 0), ratio)).mean())


def blocks(luma: np.ndarray, ratio: int) -> float:
    """Return the mean step across the borders of cells over the mean step inside them."""
    across = []
    for steps in (np.abs(np.diff(luma, axis=1)), np.abs(np.diff(luma, axis=0)).T):
        border = np.arange(1, steps.shape[1] + 1) % ratio == 0
        across.append(float(steps[:, border].mean() / steps[:, ~border].mean()))
    return sum(across) / 2


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratio", type=int, default=4)
    results.add_record(parser)
    arguments = parser.parse_args()
    ratio = arguments.ratio
    numbers = {"PSNR": ".1f", "sharpness": ".2f", "overshoot": ".1%", "blocks": ".2f"}
    quality = results.Table("quality", {"rule": "", "way": "", **numbers})
    light = np.full((SIDE // 2, SIDE // 2), 0.6, np.float32)
    for rule in RULES:
        grown = grow(find_ruleset((rule,)), {rule: 1.0}, light, steps=400)
        # A texture of twice the size, so that there is something to lose.
        whole = cv2.resize(grown, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        small = cv2.resize(whole, (SIDE // ratio,) * 2, interpolation=cv2.INTER_AREA)
        luma = whole @ LUMINANCE
        coarse = small @ LUMINANCE
        box = np.ones((3, 3), np.uint8)
        low, high = (
            cv2.resize(f(coarse, box), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
            for f in (cv2.erode, cv2.dilate)
        )
        for name in ("cubic", "sharp"):
            out = np.clip(UPSCALERS[name](small, (SIDE, SIDE)), 0, 1)
            error = float(np.square(out - whole).mean())
            shown = out @ LUMINANCE
            beyond = float(((shown < low - 0.02) | (shown > high + 0.02)).mean())
            share = fine(shown, ratio) / fine(luma, ratio)
            psnr = 10 * np.log10(1 / error)
            seen = blocks(shown, ratio) / blocks(luma, ratio)
            quality.add(rule, name, psnr, share, beyond, seen)
    cost = results.Table("cost", {"frame": "", "way": "", "core-ms": ".0f"})
    for width, height in FRAMES:
        texture = np.random.default_rng(0).random((height // ratio, width // ratio, 3), np.float32)
        for name in ("cubic", "sharp"):
            UPSCALERS[name](texture, (width, height))
            begin = time.process_time()
            for _ in range(3):
                UPSCALERS[name](texture, (width, height))
            spent = (time.process_time() - begin) / 3 * 1e3
            cost.add(f"{width}x{height}", name, spent)
    results.record(arguments, "upscale", quality, cost)


if __name__ == "__main__":
    main()
