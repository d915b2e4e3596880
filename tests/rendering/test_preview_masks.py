"""Previews show what segmentation found over the clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ncavideo.control.levels import ClipRange
from ncavideo.nca.ruleset import find_ruleset
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.preview import preview_frame

CLIP = Path(__file__).parents[2] / "examples" / "clip.mp4"


def test_the_mask_of_a_rule_is_shown_over_the_clip() -> None:
    controls = ("fire=segment:kmeans:1of2", "moss=luminance:dark")
    options = RenderOptions(("fire", "moss"), control=controls, warmup=1, steps=1)
    ruleset = find_ruleset(options.rules)
    moment, _ = preview_frame(CLIP, ruleset, ClipRange(), options, 0.0, 96)
    names = list(moment.pictures)
    assert "fire over the clip" in names and "moss over the clip" not in names
    over, source = (moment.pictures[name] for name in ("fire over the clip", "source"))
    weight = moment.pictures["fire"][..., 0]
    assert over.shape == source.shape
    light = over.mean(-1) / np.maximum(source.mean(-1), 1)
    assert light[weight < 20].mean() < 0.5 < light[weight > 235].mean()
