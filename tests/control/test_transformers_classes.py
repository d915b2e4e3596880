"""Segmentation by networks of transformers, with random weights."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from segmented_frames import HEIGHT, WIDTH, disc, frame_view, make, overlap

from ncavideo.control.field import Context
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow


def test_a_moving_disc_by_its_class(segformer: Path) -> None:
    context = Context(Path())
    red, blue = (make(f"{name}@hf:{segformer}", context) for name in ("ember", "Blue thing"))
    for index in range(6):
        picture = np.full((HEIGHT, WIDTH, 3), 0.5)
        left, right = disc(20 + 5 * index, 24, 13), disc(70, 60 - 5 * index, 9)
        picture[left], picture[right & ~left] = (0.9, 0.15, 0.1), (0.1, 0.2, 0.9)
        view = frame_view(picture, index / 25)
        assert overlap(red.values(view), left) > 0.75
        assert overlap(blue.values(view), right & ~left) > 0.7
    with pytest.raises(UserError, match="red thing"):
        make(f"red think@hf:{segformer}", context)
    for size in ((1, 1), (1, 7), (3, 3), (2, 300)):
        assert red.values(frame_view(np.full((*size, 3), 0.5))).shape == size


def saved(folder: Path, network: object, processor: object) -> Path:
    network.save_pretrained(folder)  # type: ignore[attr-defined]
    processor.save_pretrained(folder)  # type: ignore[attr-defined]
    return folder


def named(count: int) -> dict[str, dict]:
    labels = {index: f"class {index}" for index in range(count)}
    return {"id2label": labels, "label2id": {name: index for index, name in labels.items()}}


def loosened(network: torch.nn.Module) -> None:
    """Give a network random weights with which its answers differ from place to place."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)


def cropping(kind: str, folder: Path) -> Path:
    """A small network, its weights random, whose image processor shows it a square of the middle.

    So do those that apple and google publish.
    """
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    square, crop = {"shortest_edge": 72}, {"height": 64, "width": 64}
    if kind == "mobilevit":
        config = transformers.MobileViTConfig(
            hidden_sizes=[24, 32, 40], neck_hidden_sizes=[8, 8, 16, 16, 24, 32, 40],
            num_attention_heads=2, aspp_out_channels=16, image_size=64, **named(3),
        )  # fmt: skip
        network = transformers.MobileViTForSemanticSegmentation(config)
        processor = transformers.MobileViTImageProcessor(size=square, crop_size=crop)
    elif kind == "mobilenet":
        config = transformers.MobileNetV2Config(depth_multiplier=0.35, image_size=64, **named(3))
        network = transformers.MobileNetV2ForSemanticSegmentation(config)
        processor = transformers.MobileNetV2ImageProcessor(size=square, crop_size=crop)
    else:
        config = transformers.BeitConfig(
            hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
            image_size=64, out_indices=[1, 2, 3, 4], pool_scales=[1, 2], use_auxiliary_head=False,
            use_relative_position_bias=True, **named(3),
        )  # fmt: skip
        network = transformers.BeitForSemanticSegmentation(config)
        processor = transformers.BeitImageProcessor(
            size={"height": 72, "width": 72}, do_center_crop=True, crop_size=crop
        )
    assert processor.do_center_crop
    loosened(network)
    for module in network.modules():  # batch norms know nothing but what they have seen
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(pixel_values=torch.rand(4, 3, 64, 64))
    return saved(folder, network, processor)


@pytest.mark.parametrize("size", [(90, 160), (160, 90)])
@pytest.mark.parametrize("kind", ["mobilevit", "mobilenet", "beit"])
def test_a_network_sees_every_fifth_of_a_frame(
    kind: str, size: tuple[int, int], tmp_path: Path
) -> None:
    field = make(f"class 1@hf:{cropping(kind, tmp_path)}")
    rng = np.random.default_rng(2)
    frame = cv2.resize(rng.random((9, 9, 3)).astype(np.float32), size[::-1])
    before = field.values(frame_view(frame))
    for part in range(5):
        rows, columns = (slice(side * part // 5, side * (part + 1) // 5) for side in size)
        other = frame.copy()
        where = (slice(None), columns) if size[1] > size[0] else (rows, slice(None))
        other[where] = 1 - other[where]
        assert np.abs(field.values(frame_view(other)) - before).max() > 1e-5, part


@pytest.mark.parametrize("kind", ["MobileNetV2", "Beit"])
def test_a_disc_at_the_edge_is_seen_where_it_is(kind: str, segformer: Path, tmp_path: Path) -> None:
    """With image processors that would show the network the middle of the frame."""
    transformers = pytest.importorskip("transformers")
    shorter, crop = {"shortest_edge": 72}, {"height": 64, "width": 112}
    size = shorter if kind == "MobileNetV2" else {"height": 90, "width": 140}
    processor = getattr(transformers, f"{kind}ImageProcessor")(
        size=size, crop_size=crop, do_center_crop=True,
        image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225],
    )  # fmt: skip
    network = transformers.SegformerForSemanticSegmentation.from_pretrained(segformer)
    field = make(f"ember@hf:{saved(tmp_path, network, processor)}")
    rows, columns = np.mgrid[:72, :128]
    for x, y in ((10, 36), (117, 20), (64, 64)):
        there = (rows - y) ** 2 + (columns - x) ** 2 < 12**2
        picture = np.where(there[..., None], (0.9, 0.15, 0.1), 0.5)
        assert overlap(field.values(frame_view(picture)), there) > 0.7


def eomt(folder: Path, **processing: object) -> tuple[Path, object, object]:
    transformers = pytest.importorskip("transformers", minversion="4.53")
    pytest.importorskip("scipy")  # which its loss asks for
    torch.manual_seed(4)
    config = transformers.EomtConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=8,
        num_blocks=1, num_queries=6, num_upscale_blocks=1, num_register_tokens=0, **named(3),
    )  # fmt: skip
    network = transformers.EomtForUniversalSegmentation(config).eval()
    loosened(network)
    processor = transformers.EomtImageProcessor(**processing)
    return saved(folder, network, processor), network, processor


@pytest.mark.parametrize("size", [(96, 192), (180, 100), (80, 80)])
@pytest.mark.parametrize("way", ["split", "padded"])
def test_a_frame_in_pieces_is_put_together(way: str, size: tuple[int, int], tmp_path: Path) -> None:
    """As the processor's own functions do it, which know no probabilities."""
    edges = {"shortest_edge": 64, "longest_edge": None if way == "split" else 64}
    folder, network, processor = eomt(
        tmp_path, size=edges, do_split_image=way == "split", do_pad=way == "padded"
    )
    frame = cv2.resize(np.random.default_rng(6).random((12, 12, 3)).astype(np.float32), size[::-1])
    view = frame_view(frame)
    context = Context(Path())
    found = [make(f"class {part}@hf:{folder}", context).values(view) for part in range(3)]

    inputs = processor(images=view.source, return_tensors="pt")
    with torch.inference_mode():
        out = network(pixel_values=inputs["pixel_values"])
        classes = out.class_queries_logits.softmax(-1)[..., :-1]
        shares = torch.einsum("bqc,bqhw->bchw", classes, out.masks_queries_logits.sigmoid())
        shares = torch.nn.functional.interpolate(shares.clamp(0, 1), (64, 64), mode="bilinear")
        if way == "split":
            assert len(shares) == (1 if size[0] == size[1] else 2)
            offsets = [[int(n) for n in entry] for entry in inputs["patch_offsets"]]
            (wanted,) = processor.merge_image_patches(shares, offsets, [size], edges)
        else:
            (wanted,) = processor.unpad_image(shares, [size], edges)
    for values, expected in zip(found, wanted.numpy(), strict=True):
        assert expected.std() > 0.01
        assert np.corrcoef(values.ravel(), expected.ravel())[0, 1] > 0.97
        assert np.abs(values - expected).mean() < 0.15 * expected.std()


def test_a_processor_that_cuts_all_the_same(segformer: Path, tmp_path: Path) -> None:
    """ConvNeXt's, with an input below 384 pixels, has no switch for it."""
    transformers = pytest.importorskip("transformers")
    network = transformers.SegformerForSemanticSegmentation.from_pretrained(segformer)
    processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 64})
    field = make(f"ember@hf:{saved(tmp_path, network, processor)}")
    with pytest.raises(UserError, match="a part of the frame only") as caught:
        field.values(frame_view(np.full((HEIGHT, WIDTH, 3), 0.5)))
    assert "\n" not in str(caught.value)


def test_what_a_model_lacks_is_one_sentence(
    segformer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transformers says it in several lines, the first of them empty."""
    transformers = pytest.importorskip("transformers")

    def lacking(*_: object, **__: object) -> None:
        raise ImportError("\nEomtLoss requires scipy.\nYou can install it with pip:\n")

    monkeypatch.setattr(transformers.AutoImageProcessor, "from_pretrained", lacking)
    with pytest.raises(UserError, match=r"another package \(EomtLoss requires scipy") as caught:
        make(f"ember@hf:{segformer}")
    assert "\n" not in str(caught.value)
