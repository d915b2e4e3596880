"""Classes of any segmentation checkpoint that transformers can load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ncavideo.control.base import View
from ncavideo.control.segmenters import Segmenter
from ncavideo.control.segmenters.semantic import class_index, on_grid
from ncavideo.errors import UserError
from ncavideo.pixels import as_float


class HubModel(Segmenter):
    """A checkpoint from a folder or the Hugging Face hub, for per-pixel or mask classification.

    No code from the checkpoint is run, and only safetensors weights are read.
    """

    def __init__(self, source: str) -> None:
        try:
            import torch
            import transformers
        except ImportError as error:
            raise UserError(
                "segment:CLASS@hf:... needs transformers: pip install 'ncavideo[segment]'"
            ) from error
        from ncavideo.engines import choose_device

        local = Path(source).is_dir()
        if not source or (not local and source.count("/") != 1):
            raise UserError(f"there is no folder {source!r}: name one, or a hub's USER/REPO")
        safe: dict[str, Any] = {"local_files_only": local, "trust_remote_code": False}
        try:
            processors: Any = transformers.AutoImageProcessor
            self._processor = processors.from_pretrained(source, **safe)
            network = _loaded(transformers, source, safe)
        except ImportError as error:
            raise UserError(f"the model {source} needs another package ({error})") from error
        except Exception as error:
            # Its loaders raise all kinds: files that are missing, foreign, cut short.
            reason = (
                str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            )
            raise UserError(
                f"{source} is no segmentation model that can be loaded ({reason})"
            ) from error
        self._device = torch.device(choose_device())
        self._network = network.eval().to(self._device)
        labels = network.config.id2label
        self._names = [str(labels[index]) for index in sorted(labels)]

    def part(self, name: str) -> int:
        """Return a class's place. Raises `UserError` for one that is not known."""
        return class_index(name, self._names)

    def __call__(self, view: View) -> np.ndarray:
        """Return each class's probability, `[classes, h, w]`."""
        import torch

        picture = (as_float(view.source) * 255 + 0.5).astype(np.uint8)
        inputs = self._processor(images=picture, return_tensors="pt")
        with torch.inference_mode():
            out = self._network(pixel_values=inputs["pixel_values"].to(self._device))
            if hasattr(out, "logits"):
                shares = torch.softmax(out.logits[0].float(), 0)
            else:
                # Masks with a class each (Cheng, Schwing and Kirillov, "Per-Pixel Classification
                # is Not All You Need", 2021, section 3.4); the last class is "nothing".
                classes = torch.softmax(out.class_queries_logits[0].float(), -1)[:, :-1]
                masks = out.masks_queries_logits[0].float().sigmoid()
                shares = torch.einsum("qc,qhw->chw", classes, masks).clamp(0, 1)
        return on_grid(shares.cpu().numpy(), *view.luma.shape)


def _loaded(transformers: Any, source: str, safe: dict[str, Any]) -> Any:
    try:
        return transformers.AutoModelForSemanticSegmentation.from_pretrained(
            source, use_safetensors=True, **safe
        )
    except ValueError:
        return transformers.AutoModelForUniversalSegmentation.from_pretrained(
            source, use_safetensors=True, **safe
        )
