"""Which rule a patch of texture looks like: style features, nearest exemplar.

A patch is 24x24 px. Its features are the means and deviations, over the patch, of VGG16's relu1_1,
relu2_1 and relu3_1, each divided by that feature's deviation over all exemplar patches, each layer
weighing the same. Its distance to a rule is the distance to the nearest of the patches of that
rule's exemplar (every 4 px, wrapping).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ncavideo.nca.model import Edge
from ncavideo.training.vgg import VGGFeatures

PATCH, STRIDE, EXEMPLAR_STRIDE = 24, 12, 4
LAYERS = 3


class Patches:
    """Measures patches against exemplars `[3, H, W]`, RGB 0..1, one per rule."""

    def __init__(self, vgg: VGGFeatures, exemplars: Sequence[Tensor]) -> None:
        self._vgg = vgg
        raw = []
        for exemplar in exemplars:
            pad = (0, PATCH - EXEMPLAR_STRIDE) * 2
            whole = F.pad(exemplar[None], pad, mode="circular")
            raw.append(self._features(whole, EXEMPLAR_STRIDE, "reflect"))
        together = [torch.cat(layer) for layer in zip(*raw, strict=True)]
        self._scales = [layer.std(0) + 1e-3 * layer.std(0).max() for layer in together]
        self._exemplars = [self._join(layers) for layers in raw]

    def _features(self, rgb: Tensor, stride: int, edge: Edge) -> list[Tensor]:
        """Return each layer's `[patches, 2F]` for a picture `[1, 3, H, W]`."""
        found = []
        with torch.no_grad():
            for level, feature in enumerate(self._vgg(rgb, edge)[:LAYERS]):
                window, step = PATCH >> level, max(1, stride >> level)
                mean = F.avg_pool2d(feature, window, step)
                square = F.avg_pool2d(feature * feature, window, step)
                deviation = (square - mean * mean).clamp_min(0).sqrt()
                both = torch.cat([mean, deviation], 1)
                found.append(both[0].flatten(1).t())
        return found

    def _join(self, layers: list[Tensor]) -> Tensor:
        scaled = zip(layers, self._scales, strict=True)
        return torch.cat([x / s / (LAYERS * x.shape[1]) ** 0.5 for x, s in scaled], 1)

    def distances(self, rgb: np.ndarray, edge: Edge = "reflect") -> np.ndarray:
        """Return the distance of each patch of `[H, W, 3]`, 0..1, to each rule: `[patches, R]`.

        Patches lie every 12 px, row by row.
        """
        picture = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float()
        features = self._join(self._features(picture, STRIDE, edge))
        return np.stack([torch.cdist(features, e).amin(1).numpy() for e in self._exemplars], 1)
