"""The pixels of a row, in order or phase by phase, in machine code.

A phase is a pixel's place within its cell. With steps that the compiler knows it can use vectors:
the usual sizes of a cell have loops of their own.
"""

from __future__ import annotations

import numpy as np

from ncavideo.util.machine_code import compiled

fast = compiled(nogil=True, error_model="numpy")


@fast
def interleave(phases: np.ndarray, channel: int, pixels: np.ndarray) -> None:
    """Fill `pixels[channel]` `[w * k]` with `phases[channel]` `[k, w]`, each in its places."""
    k, width = phases.shape[1:]
    if k == 1:
        for x in range(width):
            pixels[channel, x] = phases[channel, 0, x]
    elif k == 2:
        for x in range(width):
            pixels[channel, 2 * x] = phases[channel, 0, x]
            pixels[channel, 2 * x + 1] = phases[channel, 1, x]
    elif k == 3:
        for x in range(width):
            pixels[channel, 3 * x] = phases[channel, 0, x]
            pixels[channel, 3 * x + 1] = phases[channel, 1, x]
            pixels[channel, 3 * x + 2] = phases[channel, 2, x]
    elif k == 4:
        for x in range(width):
            pixels[channel, 4 * x] = phases[channel, 0, x]
            pixels[channel, 4 * x + 1] = phases[channel, 1, x]
            pixels[channel, 4 * x + 2] = phases[channel, 2, x]
            pixels[channel, 4 * x + 3] = phases[channel, 3, x]
    elif k == 6:
        for x in range(width):
            pixels[channel, 6 * x] = phases[channel, 0, x]
            pixels[channel, 6 * x + 1] = phases[channel, 1, x]
            pixels[channel, 6 * x + 2] = phases[channel, 2, x]
            pixels[channel, 6 * x + 3] = phases[channel, 3, x]
            pixels[channel, 6 * x + 4] = phases[channel, 4, x]
            pixels[channel, 6 * x + 5] = phases[channel, 5, x]
    else:
        for p in range(k):
            for x in range(width):
                pixels[channel, x * k + p] = phases[channel, p, x]


@fast
def deinterleave(line: np.ndarray, phases: np.ndarray) -> None:
    """Fill `phases` `[k, w]` with a row of pixels `[W]`, and with its last beyond the edge."""
    width, (k, cells) = len(line), phases.shape
    whole = width // k
    if k == 1:
        for x in range(whole):
            phases[0, x] = line[x]
    elif k == 2:
        for x in range(whole):
            phases[0, x] = line[2 * x]
            phases[1, x] = line[2 * x + 1]
    elif k == 3:
        for x in range(whole):
            phases[0, x] = line[3 * x]
            phases[1, x] = line[3 * x + 1]
            phases[2, x] = line[3 * x + 2]
    elif k == 4:
        for x in range(whole):
            phases[0, x] = line[4 * x]
            phases[1, x] = line[4 * x + 1]
            phases[2, x] = line[4 * x + 2]
            phases[3, x] = line[4 * x + 3]
    elif k == 6:
        for x in range(whole):
            phases[0, x] = line[6 * x]
            phases[1, x] = line[6 * x + 1]
            phases[2, x] = line[6 * x + 2]
            phases[3, x] = line[6 * x + 3]
            phases[4, x] = line[6 * x + 4]
            phases[5, x] = line[6 * x + 5]
    else:
        for p in range(k):
            for x in range(whole):
                phases[p, x] = line[x * k + p]
    for p in range(k):
        for x in range(whole, cells):
            phases[p, x] = line[min(x * k + p, width - 1)]
