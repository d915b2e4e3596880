"""Checkpoints that answer with masks, each of a class: DETR's kind and OneFormer's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from ncavideo.control.field import View, make_view
from ncavideo.control.segmenters.hub_model import HubModel
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow
transformers: Any = pytest.importorskip("transformers", minversion="4.48")
CLASSES = {0: "sky", 1: "grass", 2: "stone"}
NAMED = {"id2label": CLASSES, "label2id": {name: index for index, name in CLASSES.items()}}
STAGES = ["stage1", "stage2", "stage3", "stage4"]


def saved(folder: Path, network: Any, processor: Any) -> Any:
    """Save a network with random weights by which its answers differ from place to place."""
    torch.manual_seed(4)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return network.eval(), processor


def detr(folder: Path) -> Any:
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=STAGES,
    )  # fmt: skip
    config = transformers.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None,
        backbone_config=backbone, d_model=32, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=8, decoder_attention_heads=8, encoder_ffn_dim=32,
        decoder_ffn_dim=32, num_queries=7, **NAMED,
    )  # fmt: skip
    processor = transformers.DetrImageProcessor(size={"height": 96, "width": 128})
    return saved(folder, transformers.DetrForSegmentation(config), processor)


def oneformer(folder: Path) -> Any:
    backbone = transformers.SwinConfig(
        embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, image_size=64,
        out_features=STAGES,
    )  # fmt: skip
    config = transformers.OneFormerConfig(
        backbone_config=backbone, use_pretrained_backbone=False, hidden_dim=32, mask_dim=32,
        conv_dim=32, encoder_feedforward_dim=16, encoder_layers=1, decoder_layers=2,
        num_attention_heads=2, dim_feedforward=16, num_queries=7, text_encoder_width=32,
        text_encoder_num_layers=1, text_encoder_n_ctx=4, is_training=False, **NAMED,
    )  # fmt: skip
    (folder / "classes.json").write_text(
        json.dumps({str(i): {"isthing": 0, "name": name} for i, name in CLASSES.items()})
    )
    processor = transformers.OneFormerImageProcessor(
        repo_path=str(folder), class_info_file="classes.json", num_text=4,
        size={"height": 96, "width": 128},
    )  # fmt: skip
    network, processor = saved(
        folder, transformers.OneFormerForUniversalSegmentation(config), processor
    )
    # As the published ones: the classes are named by a file of another repository.
    facts = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
    facts.update(repo_path="shi-labs/oneformer_demo", class_info_file="elsewhere.json")
    (folder / "preprocessor_config.json").write_text(json.dumps(facts))
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    ends = ["<|startoftext|>", "<|endoftext|>"]
    words = {word: i for i, word in enumerate([*letters, *(f"{c}</w>" for c in letters), *ends])}
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    facts = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": ends[1],
             "bos_token": ends[0], "eos_token": ends[1], "unk_token": ends[1]}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(facts))
    return network, processor


def a_view() -> View:
    coarse = np.random.default_rng(6).random((9, 12, 3)).astype(np.float32)
    frame = cv2.resize(coarse, (128, 96), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    return make_view((frame * 255).astype(np.uint8), 48, 64, 0.0)


@pytest.mark.parametrize("make", [detr, oneformer])
def test_masks_count_as_much_as_their_class(make: Any, tmp_path: Path) -> None:
    network, processor = make(tmp_path)
    view = a_view()
    model = HubModel(str(tmp_path))
    assert [model.part(name) for name in CLASSES.values()] == [0, 1, 2]
    found = model(view)
    assert found.shape == (3, 48, 64) and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1 and found.std(axis=(1, 2)).min() > 1e-3

    inputs = {"pixel_values": processor(images=view.source, return_tensors="pt")["pixel_values"]}
    if make is oneformer:
        tokenizer = transformers.CLIPTokenizer.from_pretrained(tmp_path)
        whole = transformers.OneFormerProcessor(processor, tokenizer)
        inputs = whole(images=view.source, task_inputs=["semantic"], return_tensors="pt")
    with torch.inference_mode():
        out = network(**inputs)
    classes, masks = (
        (out.logits, out.pred_masks)
        if make is detr
        else (out.class_queries_logits, out.masks_queries_logits)
    )
    shares = torch.einsum("qc,qhw->chw", classes[0].softmax(-1)[:, :-1], masks[0].sigmoid())
    for values, wanted in zip(found, shares.clamp(0, 1).numpy(), strict=True):
        small = cv2.resize(wanted, (64, 48))
        assert np.abs(values - small).mean() < 0.2 * small.std()


def test_oneformer_without_its_words_is_one_sentence(tmp_path: Path) -> None:
    oneformer(tmp_path)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    with pytest.raises(UserError, match="no segmentation model that can be loaded") as caught:
        HubModel(str(tmp_path))
    assert "\n" not in str(caught.value)
