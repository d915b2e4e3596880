"""A network in VGG16's place that needs no weights and is quick, for several tests."""

from __future__ import annotations

import torch

from ncavideo.training.vgg import BLOCKS, USED_CONVOLUTIONS, VGGFeatures


def random_vgg() -> VGGFeatures:
    """Return VGG16's shape with a sixteenth of its features, which are random."""
    generator, layers, before = torch.Generator().manual_seed(0), [], 3
    for count, width in BLOCKS:
        for _ in range(count):
            weight = torch.randn(width // 16, before, 3, 3, generator=generator)
            bias = torch.randn(width // 16, generator=generator) * 0.1
            layers.append((weight * (2 / (9 * before)) ** 0.5, bias))
            before = width // 16
    half, two = torch.full((3,), 0.5), torch.full((3,), 2.0)
    return VGGFeatures(layers[:USED_CONVOLUTIONS], half, two, True, "random")
