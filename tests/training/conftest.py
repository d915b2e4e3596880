"""Triton's interpreter, for the tests of training on a GPU."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator

import pytest
import torch

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
