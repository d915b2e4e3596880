"""A short clip of a network: its rules grow, follow light, heal and take over."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ncavideo.nca import engines
from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.sheet import rule_inputs
from ncavideo.util.atomic_write import replacing

SIZE = 96  # pixels of a style picture; shown twice as large
FRAME_STEPS = 6
GROWING, WAVE, HEALING, SWITCHED = 30, 40, 24, 32  # frames of each part
RATE = 20  # frames a second


def frames(ruleset: RuleSet, device: str = "cpu") -> Iterator[np.ndarray]:
    """Yield frames `[H, W, 3]`, uint8: the rules side by side.

    They grow from the seed under a middling light, a dark and a bright wave pass over them, a hole
    is torn into each and heals, and each turns into the next rule.
    """
    rules, size = len(ruleset.rules), SIZE // ruleset.pixels
    grids = [
        engines.start("auto", ruleset, size, size, seed=rule, edge="wrap", device=device)
        for rule in range(rules)
    ]
    x = np.linspace(0, 1, size, endpoint=False, dtype=np.float32)
    y, across = np.mgrid[:size, :size]
    hole = np.hypot(y - size / 2, across - size / 2) < size / 4
    for frame in range(GROWING + WAVE + HEALING + SWITCHED):
        light = np.full((size, size), 0.6, np.float32)
        if GROWING <= frame < GROWING + WAVE:
            phase = (frame - GROWING) / WAVE
            light[:] = 0.6 + 0.4 * np.sin(2 * np.pi * (x - 2 * phase)) * np.sin(np.pi * phase)
        for rule, grid in enumerate(grids):
            if frame == GROWING + WAVE:
                before = grid.snapshot()
                before.state[:, hole] = 0
                grid.restore(before)
            shown = (rule + (frame >= GROWING + WAVE + HEALING)) % rules
            grid.step(rule_inputs(ruleset, shown, light), FRAME_STEPS)
        row = np.concatenate([grid.picture(ruleset.pixels) for grid in grids], 1)
        yield (row * 255 + 0.5).astype(np.uint8).repeat(2, 0).repeat(2, 1)


def save_animation(ruleset: RuleSet, path: Path, device: str = "cpu") -> None:
    """Write the clip as H.264 in MP4; it appears under its name when it is complete."""
    with replacing(path) as partial, av.open(str(partial), "w", format="mp4") as clip:
        stream = None
        for index, rgb in enumerate(frames(ruleset, device)):
            if stream is None:
                stream = clip.add_stream("libx264", RATE, options={"crf": "20"})
                stream.pix_fmt = "yuv420p"
                stream.height, stream.width = rgb.shape[:2]
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            clip.mux(stream.encode(frame))
        if stream is not None:
            clip.mux(stream.encode())
