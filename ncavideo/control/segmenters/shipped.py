"""The networks that come with ncavideo: MediaPipe's, run by OpenCV."""

from __future__ import annotations

import hashlib
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ncavideo.util.errors import UserError

FOLDER = Path(__file__).with_name("mediapipe")
AGAIN = "install ncavideo again, as by pip install --force-reinstall --no-deps ncavideo"
# A network keeps its input between two calls, and renders in threads of one process share it.
_ASKING = threading.Lock()


class Model(NamedTuple):
    """A network's file, its SHA-256, and the width and height of its input in pixels."""

    file: str
    digest: str
    size: tuple[int, int]


@lru_cache
def network(model: Model) -> Any:
    """Load a network. Raises `UserError` for a file that is not the one that was shipped."""
    path = FOLDER / model.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {AGAIN}") from error
    if hashlib.sha256(data).hexdigest() != model.digest:
        raise UserError(f"{path} is damaged: {AGAIN}")
    return cv2.dnn.readNetFromTFLite(np.frombuffer(data, np.uint8))


def answers(model: Model, picture: np.ndarray, outputs: tuple[str, ...] = ()) -> list[np.ndarray]:
    """Return what a network answers to a picture `[h, w, 3]` of its size, RGB, float32.

    `outputs`: the names of layers; none: the last one.
    """
    net = network(model)
    with _ASKING:
        net.setInput(np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32))
        # One by one: OpenCV 5 gives several at once only of those that its importer calls outputs.
        found = (net.forward(name) for name in outputs) if outputs else (net.forward(),)
        return [np.array(answer, np.float32) for answer in found]
