"""What tests of this folder share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from field_frames import ffmpeg
from segmented_frames import HEIGHT, WIDTH, disc


@pytest.fixture(scope="module")
def chirp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds whose tone rises from 50 to 9,050 Hz after half a second of silence."""
    path = tmp_path_factory.mktemp("sound") / "chirp.mov"
    tone = "aevalsrc=if(gt(t\\,0.5)\\,0.5*sin(2*PI*(50*(t-0.5)+1286*(t-0.5)^2))\\,0):d=4:s=44100"
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=64x48:r=25:d=4", "-f", "lavfi", "-i", tone,
           "-shortest", "-c:a", "pcm_s16le", path)  # fmt: skip
    return path


@pytest.fixture(scope="module")
def lraspp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of the default model, random, as torchvision would save them."""
    from torchvision.models import get_model

    torch.manual_seed(0)
    network = get_model(
        "lraspp_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=21
    )
    path = tmp_path_factory.mktemp("weights") / "lraspp.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def segformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SegFormer that has learnt, in seconds, to tell red from blue discs."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    labels = {0: "ground", 1: "red thing;ember", 2: "blue thing"}
    config = transformers.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[16, 32],
        patch_sizes=[3, 3], strides=[2, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2],
        decoder_hidden_size=32, id2label=labels, label2id={v: k for k, v in labels.items()},
        hidden_dropout_prob=0.0, classifier_dropout_prob=0.0, drop_path_rate=0.0,
    )  # fmt: skip
    network = transformers.SegformerForSemanticSegmentation(config)
    rng = np.random.default_rng(5)
    optimiser = torch.optim.Adam(network.parameters(), 4e-3)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for _ in range(60):
        pictures, truths = [], []
        for _ in range(4):
            picture, truth = (
                np.full((HEIGHT, WIDTH, 3), rng.uniform(0.2, 0.8)),
                np.zeros((HEIGHT, WIDTH), int),
            )
            for number, colour in ((1, (0.9, 0.15, 0.1)), (2, (0.1, 0.2, 0.9))):
                there = disc(rng.uniform(10, 86), rng.uniform(10, 62), rng.uniform(8, 20))
                picture[there], truth[there] = colour, number
            pictures.append((picture - mean) / deviation)
            truths.append(truth)
        batch = torch.from_numpy(np.stack(pictures)).float().permute(0, 3, 1, 2)
        loss = network(pixel_values=batch, labels=torch.from_numpy(np.stack(truths))).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    folder = tmp_path_factory.mktemp("segformer")
    network.save_pretrained(folder)
    processor = {
        "image_processor_type": "SegformerImageProcessor", "do_resize": True,
        "size": {"height": HEIGHT, "width": WIDTH}, "do_normalize": True,
        "image_mean": mean.tolist(), "image_std": deviation.tolist(), "do_rescale": True,
        "rescale_factor": 1 / 255, "do_reduce_labels": False, "resample": 2,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder
