"""Pictures warped by a motion field, sampled at exact positions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ncavideo.util.device import cores

# Of all planes, that are worth a thread of their own: starting threads takes half a millisecond,
# in which one warps 100,000 pixels.
ROWS, PIXELS = 64, 100_000


def warped(planes: np.ndarray, flow: np.ndarray, sharpness: float = 0.0) -> np.ndarray:
    """Return planes `[n, h, w]` as float32, each place with what was at its place plus `flow`.

    `flow` `[h, w, 2]`: (x, y) to add, in pixels, of any fineness: by a hundred warps of a hundredth
    of a pixel a picture moves by one. Bilinear for a `sharpness` of 0, towards bicubic for 1;
    beyond the edge is as at it.
    """
    # Numba, which few need, takes its time to load.
    from ncavideo.util.warp_kernel import warp, warp_sharper

    planes = np.ascontiguousarray(planes, np.float32)
    flow = np.ascontiguousarray(flow, np.float32)
    moved = np.empty_like(planes)
    height = planes.shape[1]

    def fill(top: int, bottom: int) -> None:
        if sharpness:
            warp_sharper(planes, flow, top, bottom, moved, np.float32(sharpness))
        else:
            warp(planes, flow, top, bottom, moved)

    threads = max(1, min(cores(), height // ROWS, planes.size // PIXELS))
    ends = [height * part // threads for part in range(threads + 1)]
    if threads == 1:
        fill(0, height)
        return moved
    with ThreadPoolExecutor(threads, thread_name_prefix="warp") as pool:
        parts = [pool.submit(fill, ends[i], ends[i + 1]) for i in range(threads)]
        for part in parts:
            part.result()
    return moved
