"""Clips without colour (4:0:0) in limited range, which swscale takes for full range."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from av.video.reformatter import ColorRange

# ITU-R BT.709, section 4: black and white in 8 bits; deeper ones have as many steps more.
BLACK, WHITE = 16, 235


def grey_curve(pix_fmt: str, color_range: int, deep: bool) -> np.ndarray | None:
    """Return what brings RGB that swscale made of grey to full range, None where it is that.

    `pix_fmt` and `color_range` are the decoded frame's; grey that does not say its range is of full
    range, as FFmpeg makes it. The curve has an entry for each of 256 (`deep`: 65,536) levels.
    See findings/monochrome-is-washed-out.sh.
    """
    if color_range != ColorRange.MPEG or not pix_fmt.startswith("gray") or "f" in pix_fmt:
        return None
    digits = pix_fmt.removeprefix("gray").removesuffix("le").removesuffix("be")
    return _curve(int(digits or 8), 65535 if deep else 255)


@lru_cache
def _curve(bits: int, top: int) -> np.ndarray:
    unit = top / (2**bits - 1)  # swscale has stretched the grey of so many bits
    black, white = (level * 2 ** (bits - 8) * unit for level in (BLACK, WHITE))
    levels = np.clip((np.arange(top + 1) - black) / (white - black), 0, 1) * top
    curve: np.ndarray = np.rint(levels).astype(np.uint16 if top > 255 else np.uint8)
    return curve
