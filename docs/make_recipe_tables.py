"""Write the tables of a recipe's keys in docs/train.md, as the recipe's fields have them.

python docs/make_recipe_tables.py
"""

from __future__ import annotations

import re
from pathlib import Path

from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.recipe import GuideRecipe, ModelRecipe, RuleRecipe, TrainingRecipe
from ncavideo.training.recipe_fields import keys

PAGE = Path(__file__).with_name("train.md")
TABLES = {
    "[[rule]]": RuleRecipe,
    "[model]": ModelRecipe,
    "[training]": TrainingRecipe,
    "[loss]": LossRecipe,
    "[guide]": GuideRecipe,
}
MARKER = re.compile(r"<!-- keys of (\S+) -->\n.*?<!-- end of keys -->", re.S)


def page(text: str) -> str:
    """Return the page's text with its tables made anew."""
    return MARKER.sub(lambda found: block(found[1]), text)


def block(name: str) -> str:
    """Return a table between its marks."""
    rows = [("Key", "Default", "Range", "Meaning"), ("---",) * 4]
    for key in keys(TABLES[name]).values():
        rows.append((f"`{key.name}`", key.default_text, key.allowed_text, key.help))
    lines = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return f"<!-- keys of {name} -->\n\n{lines}\n\n<!-- end of keys -->"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
