"""Writes what the makers' own runtime (LiteRT) answers to frames of a clip, at a few pixels.

python tests/control/make_person_reference.py (needs ai-edge-litert)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
REFERENCE = Path(__file__).with_name("person_reference.json")
FRAMES = (0, 40, 80)


def inputs(size: tuple[int, int]) -> list[np.ndarray]:
    """Return frames as a network takes them, `[h, w, 3]` float32 of 0 to 1."""
    import clips

    shown = [rgb for rgb, _ in clips.frames(clips.carphone())]
    small = [cv2.resize(shown[number], size, interpolation=cv2.INTER_AREA) for number in FRAMES]
    return [picture.astype(np.float32) / 255 for picture in small]


def places(size: tuple[int, int]) -> np.ndarray:
    """Return the pixels that are kept, as indices into a flat answer."""
    return np.random.default_rng(0).choice(size[0] * size[1], 400, replace=False)


def answers(path: Path, pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Return LiteRT's answers, `[h, w]`."""
    from ai_edge_litert.interpreter import Interpreter

    runtime: Any = Interpreter(str(path))
    runtime.allocate_tensors()
    (taken,), (given,) = runtime.get_input_details(), runtime.get_output_details()
    found = []
    for picture in pictures:
        runtime.set_tensor(taken["index"], picture[None])
        runtime.invoke()
        found.append(np.array(runtime.get_tensor(given["index"])[0, ..., 0]))
    return found


if __name__ == "__main__":
    from ncavideo.control.segmenters.person import FOLDER, SQUARE, WIDE

    kept = {
        model.file: [
            [round(float(value), 5) for value in answer.ravel()[places(model.size)]]
            for answer in answers(FOLDER / model.file, inputs(model.size))
        ]
        for model in (SQUARE, WIDE)
    }
    REFERENCE.write_text(json.dumps(kept) + "\n", "utf-8")
