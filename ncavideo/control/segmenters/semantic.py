"""Classes that torchvision's semantic segmentation models know."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ncavideo.control.field import View
from ncavideo.control.segmenters import Classes, split_model
from ncavideo.util.downloaded import check_downloaded
from ncavideo.util.errors import UserError

MODEL = "lraspp_mobilenet_v3_large"
SIDE = 520  # pixels of the shorter side that the published weights were made for
# The statistics of ImageNet's pictures, with which all of these models were trained.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
# COCO's pictures with the classes of PASCAL VOC, which all of torchvision's weights know.
# fmt: off
CLASSES = [
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
]
# fmt: on


class Semantic(Classes):
    """One of torchvision's models, its weights downloaded on first use or from a file."""

    def __init__(self, name: str, weights: Path | None) -> None:
        import torch

        self.name = f"torchvision {name}" + (f" with {weights.name}" if weights else "")
        self._network = _network(name, weights)
        self._device = torch.device(_device())
        self._network.eval().to(self._device)

    @classmethod
    def parse(cls, text: str) -> Semantic:
        """Make a model of `MODEL`, `FILE`, `MODEL=FILE` or nothing."""
        name, file = split_model(text)
        return cls(name or MODEL, Path(file) if file else None)

    def part(self, name: str) -> int:
        """Return a class's place. Raises `UserError` for one that is not known."""
        return class_index(name, CLASSES)

    def __call__(self, view: View) -> np.ndarray:
        """Return each class's probability, `[classes, h, w]`."""
        import torch

        picture = torch.from_numpy(normalised(view.source)).to(self._device)
        with torch.inference_mode():
            scores = self._network(picture)["out"][0]
            shares = torch.softmax(scores.float(), 0).cpu().numpy()
        return on_grid(shares, *view.luma.shape)


def normalised(source: np.ndarray) -> np.ndarray:
    """Return a frame `[H, W, 3]` as a network's input `[1, 3, h, w]`."""
    height, width = source.shape[:2]
    scale = SIDE / min(height, width)
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(source, size, interpolation=method).astype(np.float32)
    small /= np.iinfo(source.dtype).max
    return np.ascontiguousarray(((small - MEAN) / DEVIATION).transpose(2, 0, 1)[None])


def on_grid(shares: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return `[parts, h, w]` brought to the grid's size."""
    method = cv2.INTER_LINEAR if shares.shape[1] < height else cv2.INTER_AREA
    return np.stack([cv2.resize(s, (width, height), interpolation=method) for s in shares])


def class_index(name: str, known: list[str]) -> int:
    """Return the place of a class by its name, or one of its synonyms ("building;edifice").

    Raises `UserError` with the nearest names for one that is not known.
    """
    wanted = name.strip().lower()
    names: dict[str, int] = {}
    for index, entry in enumerate(known):
        for synonym in entry.replace(";", ",").split(","):
            names.setdefault(synonym.strip().lower(), index)
    if wanted in names:
        return names[wanted]
    near = difflib.get_close_matches(wanted, names, 3, 0.5)
    if near:
        raise UserError(f"the model knows no {name!r}: did you mean {' or '.join(near)}?")
    raise UserError(f"the model knows no {name!r}, only {', '.join(names)}")


def _device() -> str:
    from ncavideo.util.device import choose_device

    return choose_device()


def _network(name: str, file: Path | None) -> Any:
    try:
        import torch
        from torchvision.models import get_model, get_model_weights, list_models, segmentation
    except ImportError as error:
        raise UserError(
            "segment:CLASS needs torchvision: pip install 'ncavideo[segment]', or use"
            " segment:kmeans, which needs nothing"
        ) from error
    known = list_models(module=segmentation)
    if name not in known:
        near = difflib.get_close_matches(name, known, 1) or known
        raise UserError(f"torchvision has no segmentation model {name!r}: use {' or '.join(near)}")
    if file is None:
        weights = get_model_weights(name).DEFAULT
        here = Path(torch.hub.get_dir(), "checkpoints", weights.url.rpartition("/")[2])
        if here.exists():
            check_downloaded(here)
        try:
            return get_model(name, weights=weights)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"the weights of {name} are not here and could not be downloaded: get {weights.url}"
                f" and name the file, as segment:person@{name}=FILE"
            ) from error
    network = get_model(name, weights=None, weights_backbone=None, num_classes=len(CLASSES))
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {file} with weights for {name}") from error
    except Exception as error:
        # A damaged pickle fails in as many ways as there are bytes.
        raise UserError(f"{file} is not a file of weights that can be read") from error
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise UserError(f"{file} holds no weights by name: save a model's state_dict()")
    state = {k: v for k, v in state.items() if not k.startswith("aux_classifier.")}
    own = {k for k in network.state_dict() if not k.startswith("aux_classifier.")}
    try:
        network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise UserError(_misfit(file, name)) from error
    if own - set(state):
        raise UserError(_misfit(file, name))
    return network


def _misfit(file: Path, name: str) -> str:
    return (
        f"the weights in {file} are not those of {name} with {len(CLASSES)} classes: name their"
        f" model, as segment:person@deeplabv3_resnet50={file}"
    )
