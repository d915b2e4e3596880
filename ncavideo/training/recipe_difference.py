"""Whether a checkpoint's recipe is the one that a run is to go on with."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.recipe import GuideRecipe, ModelRecipe, Recipe, TrainingRecipe

# What a key of a recipe's plain data is where a recipe does not say; lists are their items'.
DEFAULTS: dict[str, Any] = {
    name: json.loads(json.dumps(dataclasses.asdict(section())))
    for name, section in {
        "model": ModelRecipe, "training": TrainingRecipe, "loss": LossRecipe, "guide": GuideRecipe,
    }.items()
}  # fmt: skip
DEFAULTS["stages"] = {name: DEFAULTS[name] for name in ("training", "loss")}


def difference(recipe: Recipe, data: dict[str, Any]) -> str:
    """Return the first key at which another recipe's `to_json` differs, empty if none does.

    Keys that it lacks, since an earlier version did not know them, have their defaults.
    """
    wanted = json.loads(json.dumps(recipe.to_json()))
    return _difference(_completed(data, wanted, DEFAULTS), wanted)


def _completed(data: Any, like: Any, defaults: Any) -> Any:
    """Return plain data with the default of each key that `like` has and `data` lacks."""
    if isinstance(data, list) and isinstance(like, list) and len(data) == len(like):
        return [_completed(x, y, defaults) for x, y in zip(data, like, strict=True)]
    if not (isinstance(data, dict) and isinstance(like, dict) and isinstance(defaults, dict)):
        return data
    known = {k: _completed(v, like.get(k), defaults.get(k)) for k, v in data.items()}
    return {k: v for k, v in defaults.items() if k in like} | known


def _difference(a: Any, b: Any, key: str = "") -> str:
    """Return the first key at which two pieces of plain data differ, empty if they are equal."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = [*a, *(k for k in b if k not in a)]
        pairs = ((f"{key}.{k}" if key else k, a.get(k), b.get(k)) for k in keys)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        pairs = ((f"{key}[{i}]", x, y) for i, (x, y) in enumerate(zip(a, b, strict=True)))
    else:
        return "" if a == b else key
    return next((found for k, x, y in pairs if (found := _difference(x, y, k))), "")
