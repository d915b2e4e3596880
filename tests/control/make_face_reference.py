"""Writes what the makers' own runtime (LiteRT) answers to a frame with a face.

python tests/control/make_face_reference.py (needs ai-edge-litert)
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
REFERENCE = Path(__file__).with_name("face_reference.json")
WINDOW = np.s_[20:116, 48:144]  # of the clip's first frame: the face with what is around it


def inputs() -> dict[str, np.ndarray]:
    """Return a frame as each network takes it, `[h, w, 3]` float32."""
    import clips

    frame, _ = next(clips.frames(clips.carphone()))
    face = cv2.resize(frame[WINDOW], (192, 192)).astype(np.float32) / 255
    whole = cv2.resize(frame[:, 16:160], (128, 128)).astype(np.float32) / 127.5 - 1
    return {"face_detection_short_range.tflite": whole, "face_landmark.tflite": face}


def answers(path: Path, picture: np.ndarray) -> list[np.ndarray]:
    """Return LiteRT's answers, the largest first."""
    from ai_edge_litert.interpreter import Interpreter

    runtime: Any = Interpreter(str(path))
    runtime.allocate_tensors()
    runtime.set_tensor(runtime.get_input_details()[0]["index"], picture[None])
    runtime.invoke()
    found = [np.array(runtime.get_tensor(o["index"])) for o in runtime.get_output_details()]
    return sorted(found, key=lambda answer: -answer.size)


if __name__ == "__main__":
    from ncavideo.control.segmenters.shipped import FOLDER

    kept = {
        name: [
            [round(float(value), 4) for value in answer.ravel()[:: max(1, answer.size // 400)]]
            for answer in answers(FOLDER / name, picture)
        ]
        for name, picture in inputs().items()
    }
    REFERENCE.write_text(json.dumps(kept) + "\n", "utf-8")
