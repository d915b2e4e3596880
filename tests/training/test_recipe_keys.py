"""The keys of recipes: their facts, the page that lists them, and the names they had before."""

from __future__ import annotations

import dataclasses
import re
import runpy
from pathlib import Path

import pytest
from recipe_texts import GOOD, load

from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.recipe import (
    GuideRecipe,
    ModelRecipe,
    MotionRecipe,
    RuleRecipe,
    TrainingRecipe,
)
from ncavideo.training.recipe_fields import keys
from ncavideo.util.errors import UserError
from ncavideo.util.former_names import notice

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "train.md"


def test_every_key_of_a_table_has_its_facts() -> None:
    for kind in (RuleRecipe, ModelRecipe, TrainingRecipe, LossRecipe, GuideRecipe):
        assert list(keys(kind)) == [field.name for field in dataclasses.fields(kind)]
        for key in keys(kind).values():
            assert key.help, key.name
            if key.bounds:
                assert key.bounds[0] <= key.default <= key.bounds[1], key.name


def test_the_page_lists_the_keys_as_the_recipe_has_them() -> None:
    script = runpy.run_path(str(REPOSITORY / "docs" / "make_recipe_tables.py"))
    text = PAGE.read_text("utf-8")
    assert text == script["page"](text), "python docs/make_recipe_tables.py writes them"
    assert text.count("<!-- keys of ") == len(script["TABLES"]) == 5


def test_the_pages_recipe_is_one(tmp_path: Path) -> None:
    text, _sweep = re.findall(r"```toml\n(.+?)```", PAGE.read_text("utf-8"), re.S)
    recipe = load(tmp_path, text)
    assert recipe.rules[0].motion == MotionRecipe(90, 0.05)
    assert recipe.start == "elements"
    assert recipe.iterations == 8000


def test_keys_by_the_names_that_they_had_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notice.cache_clear()
    old = GOOD.replace("learning_rate = 2e-3", "rate = 2e-3\nfavour = 'moss'")
    old = old.replace("stillness = 0.25", "still = 0.25").replace(
        "[loss]", "[loss]\nstill_from = 0"
    )
    old += "[[stage]]\niterations = 5\nlong = 0.5\nstill_from = 0.5\n"
    with caplog.at_level("WARNING", "ncavideo"):
        recipe = load(tmp_path, old)
    assert (recipe.training.learning_rate, recipe.training.oversample) == (2e-3, "moss")
    assert (recipe.rules[1].stillness, recipe.loss.stillness_from) == (0.25, 0.0)
    (stage,) = recipe.stages
    assert stage.training.long_rollout_probability == stage.loss.stillness_from == 0.5
    assert "`training.rate` is now `training.learning_rate`; the old name" in caplog.text
    assert "`stage[0].long` is now `stage[0].long_rollout_probability`" in caplog.text
    twice = GOOD.replace("learning_rate = 2e-3", "learning_rate = 2e-3\nrate = 1e-3")
    with pytest.raises(UserError, match=r"`training\.learning_rate` is given twice"):
        load(tmp_path, twice)
    notice.cache_clear()
