"""From the form on the Train tab to a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ncavideo.training.recipe import Recipe
from ncavideo.training.recipe_file import recipe_from_options, with_iterations
from ncavideo.util.errors import UserError

MOST_RULES = 4
GUIDES = {
    "None: prompts only describe the rules": "none",
    "CLIP, through open_clip (downloads its weights once)": "open_clip",
    "ImageNet: prompts are names of its classes": "imagenet",
}
DREAM = 200  # iterations of drawing a picture from words
SHEETS = 24  # sample sheets in a whole run, at most
LEAST_SHEET = 10  # iterations between two of them


def asked_recipe(values: Mapping[str, Any], styles: Sequence[Sequence[Path]]) -> Recipe:
    """Return the recipe that the form's `values` ask for.

    `values`: `name`, `guide`, `dream` (whether pictures are drawn from words), `likeness` (the
    loss's weight), `size`, `iterations`, `seed`, and `rule-I` and `prompt-I` for each rule I;
    `styles`: each rule's pictures. Raises `UserError` for values that no training can have.
    """
    names, rules, pictures = list[str](), list[str](), list[str]()
    for index, paths in enumerate(styles):
        rule, prompt = ((values[f"{what}-{index}"] or "").strip() for what in ("rule", "prompt"))
        if not rule:
            if prompt or paths:
                raise UserError(f"rule {index + 1} has no name")
            continue
        if rule in names:
            raise UserError(f"the rule {rule!r} is named twice")
        names.append(rule)
        rules.append(f"{rule}={prompt}" if prompt else rule)
        pictures += [f"{rule}={path}" for path in paths]
        if not paths and values["guide"] == "none":
            raise UserError(
                f"{rule} has no style picture, and without a guide a prompt teaches nothing"
            )
    if not rules:
        raise UserError("name at least one rule")
    name = (values["name"] or "").strip()
    if not name:
        raise UserError("name the rule set")
    try:
        recipe = recipe_from_options(
            name,
            rules,
            pictures,
            (),
            {
                "training": {"size": int(values["size"])},
                "guide": {"kind": values["guide"], "dream": DREAM if values["dream"] else None},
                "loss": {"likeness": float(values["likeness"]) or None},
            },
            seed=int(values["seed"] or 0),
        )
    except UserError as error:
        # The form's fields are not the command line's.
        raise UserError(
            str(error).replace("the command line: ", "").replace("--rule ", "")
        ) from error
    return with_iterations(recipe, int(values["iterations"]))


def sheet_every(iterations: int) -> int:
    """Return how many iterations there are between two sample sheets."""
    return max(LEAST_SHEET, -(-iterations // SHEETS))
