"""How much memory a render will take, and whether that is there."""

from __future__ import annotations

from ncavideo.rendering.options import RenderOptions
from ncavideo.util.device import free_memory
from ncavideo.video.reader import ClipInfo

# Measured as `benchmarks/render.py` does: the program itself, and the frames and fields between
# stages.
BASE = 230e6
PER_PIXEL, PER_CELL = 260, 300  # bytes; cells beside pixels
COMFORT = 0.9  # of what is free


def estimate(info: ClipInfo, cells: tuple[int, int], options: RenderOptions) -> float:
    """Return the bytes that a render will take at most, roughly. `cells`: (across, down)."""
    pixels = info.width * info.height
    deep = 2 if info.bit_depth > 8 else 1
    total = BASE + PER_PIXEL * pixels * (1 + (deep - 1) / 2) + PER_CELL * cells[0] * cells[1]
    if options.loop:
        # Those of the beginning and those of the end.
        total += 2 * options.loop * float(info.average_rate or 25) * pixels * 3 * deep
    return total


def warning(info: ClipInfo, cells: tuple[int, int], options: RenderOptions) -> str | None:
    """Return a sentence if the memory that is free will hardly do."""
    needed, there = estimate(info, cells, options), free_memory()
    if needed <= COMFORT * there:
        return None
    less = "a larger --cell" + (" or a shorter --loop" if options.loop else "")
    return (
        f"this render takes about {needed / 1e9:.1f} GB of memory, and {there / 1e9:.1f} GB are"
        f" free: {less} takes less"
    )
