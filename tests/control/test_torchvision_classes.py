"""Segmentation by torchvision's networks, with random weights."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from segmented_frames import frame_view, make

from ncavideo.control.field import Context
from ncavideo.control.segmenters.kmeans import parse_part
from ncavideo.control.segmenters.semantic import CLASSES, class_index
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow


def test_a_class_is_what_torchvision_says(lraspp: Path) -> None:
    """To a hundredth of how much the answer differs over the frame: channels, scale and all."""
    from torchvision.models import get_model
    from torchvision.transforms._presets import SemanticSegmentation

    # At the size that the network works at, so that nothing hangs on two ways of resizing.
    rng = np.random.default_rng(3)
    rgb = cv2.resize(rng.random((9, 12, 3)).astype(np.float32), (696, 520))
    view = frame_view(rgb, grid=(65, 87))
    context = Context(Path())
    found = {name: make(f"{name}@{lraspp}", context).values(view) for name in ("person", "car")}
    assert len(context.shared) == 1

    network = get_model(
        "lraspp_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=21
    ).eval()
    network.load_state_dict(torch.load(lraspp, weights_only=True))
    preset = SemanticSegmentation(resize_size=520)

    def torchvisions(picture: np.ndarray, name: str) -> np.ndarray:
        with torch.inference_mode():
            batch = preset(torch.from_numpy(picture.copy()).permute(2, 0, 1))[None]
            shares = network(batch)["out"][0].softmax(0).numpy()
        return cv2.resize(shares[CLASSES.index(name)], (87, 65), interpolation=cv2.INTER_AREA)

    for name, values in found.items():
        wanted = torchvisions(view.source, name)
        tolerance = 0.01 * float(np.ptp(wanted))
        np.testing.assert_allclose(values, wanted, rtol=0, atol=tolerance)
        # Fine enough to tell: with two channels swapped the answer is another.
        swapped = torchvisions(view.source[..., ::-1], name)
        assert np.abs(swapped - wanted).max() > 5 * tolerance


def test_the_classes_are_torchvisions() -> None:
    from torchvision.models import get_model_weights

    names = get_model_weights("lraspp_mobilenet_v3_large").DEFAULT.meta["categories"]
    assert [name.strip("_") for name in names] == CLASSES


@pytest.mark.parametrize(
    ("argument", "match"),
    [
        ("persn@{0}", "did you mean person"),
        ("sky@{0}", "only background, aeroplane"),
        ("person@{1}", "not a file of weights"),
        ("person@none.pth", "no file none.pth"),
        ("person@deeplabv3_resnet50={0}", "not those of deeplabv3_resnet50"),
        ("person@deeplab_resnet50", "did|use"),
        ("", "segment:person"),
        ("kmeans:4of3", "group"),
        ("kmeans:1of99", "group"),
        ("grabcut:1,1,1", "box"),
        ("grabcut:0.5,0.5,0.6,0.6", "box"),
        ("person@hf:nowhere", "no folder"),
        ("person@hf:{2}", "no segmentation model"),
    ],
)
def test_segmentation_that_cannot_be(
    argument: str, match: str, lraspp: Path, tmp_path: Path
) -> None:
    noise = tmp_path / "noise.pth"
    noise.write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match=match) as caught:
        make(argument.format(lraspp, noise, tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [5, [1, 2], {1: 2}, torch.zeros(3)], ids=["number", "list", "numbers", "tensor"]
)
def test_files_that_hold_something_else(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(UserError, match="holds no weights by name"):
        make(f"person@{tmp_path}/odd.pth")


def test_a_path_may_hold_an_equals_sign(lraspp: Path, tmp_path: Path) -> None:
    (tmp_path / "a=b.pth").write_bytes(lraspp.read_bytes())
    for argument in ("", "lraspp_mobilenet_v3_large="):
        assert make(f"person@{argument}{tmp_path}/a=b.pth") is not None


def test_no_weights_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the network gets them; here the address is one that nobody answers at."""
    from torchvision.models import get_model_weights

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    # urllib keeps the proxies that it first met for the rest of the process.
    monkeypatch.setattr("urllib.request._opener", None)
    with pytest.raises(UserError, match="could not be downloaded") as caught:
        make("person@lraspp_mobilenet_v3_large")
    assert get_model_weights("lraspp_mobilenet_v3_large").DEFAULT.url in str(caught.value)


@pytest.mark.parametrize("damage", ["empty", "cut", "foreign"])
def test_a_damaged_download(
    damage: str, lraspp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Foreign weights fit: only their hash tells."""
    from torchvision.models import get_model_weights

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = get_model_weights("lraspp_mobilenet_v3_large").DEFAULT.url
    path = tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    data = lraspp.read_bytes()
    path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "foreign": data}[damage])
    with pytest.raises(UserError, match="damaged: delete the file") as caught:
        make("person@lraspp_mobilenet_v3_large")
    assert str(path) in str(caught.value)


def test_synonyms() -> None:
    names = ["wall", "building;edifice", "sky", "tree, woody plant"]
    assert class_index("Edifice", names) == 1
    assert class_index("woody plant", names) == 3
    with pytest.raises(UserError, match="sky"):
        class_index("skye", names)
    assert parse_part("") == (0, 2)
