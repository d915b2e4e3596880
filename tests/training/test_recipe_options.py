"""Recipes that the command line's options make or change."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from recipe_texts import FULL, GOOD, load

from ncavideo.training.recipe_file import (
    load_recipe,
    recipe_from_options,
    with_iterations,
    with_loggers,
)
from ncavideo.util.errors import UserError


def test_options_make_the_same_recipe_as_a_file(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = recipe_from_options(
        "My Set",
        ["fire = red flames", "moss=mossy stones", "fire=embers"],
        ["leaves.jpg", "fire=flames=1.png", "no=rule.png"],
        ["moss=plastic"],
        {"model": {"channels": 8, "hidden": None}, "guide": {"kind": None}},
        seed=4,
    )
    (tmp_path / "my-set.toml").write_text(recipe.to_toml())
    assert load_recipe(tmp_path / "my-set.toml") == recipe
    fire, moss = recipe.rules
    assert recipe.name == "my-set"
    assert fire.prompt == ("red flames", "embers")
    assert [p.path for p in fire.style] == ["flames=1.png"]
    assert [p.path for p in moss.style] == ["leaves.jpg", "no=rule.png"]
    assert moss.negative == ("plastic",)
    assert (recipe.model.channels, recipe.seed) == (8, 4)
    assert recipe.guide.kind == "open_clip", "a prompt is there to be followed"


def test_options_without_prompts_need_no_guide() -> None:
    recipe = recipe_from_options("9 lives", ["fire"], ["leaves.jpg"])
    assert recipe.guide.kind == "none"
    assert recipe.name == "rules-9-lives"


def test_prompts_to_stay_away_from_want_a_guide_too() -> None:
    recipe = recipe_from_options("a", ["fire"], ["f.png"], ["fire=smoke"])
    assert recipe.guide.kind == "open_clip"
    assert recipe_from_options("a", ["fire"], ["f.png"]).guide.kind == "none"


@pytest.mark.parametrize(
    ("rules", "styles", "negatives", "sections", "named"),
    [
        (["Fire=red"], ["a.png"], [], {}, "'Fire=red'"),
        (["=red"], ["a.png"], [], {}, "'=red'"),
        (["fire="], ["a.png"], [], {}, "`rule[0].prompt`"),
        (["fire"], [], [], {}, "`rule[0].style`"),
        (["fire", "moss"], ["fire=a.png"], [], {}, "`rule[1].style`"),
        (["fire=red"], [], [], {"guide": {"kind": "none"}}, "`rule[0].style`"),
        (["fire"], ["a.png"], ["moss=x"], {}, "'moss=x'"),
        (["fire"], ["a.png"], ["x"], {}, "'x'"),
        (["fire"], ["a.png"], [], {"model": {"channels": 1}}, "`model.channels`"),
        (["fire"], ["a.png"], [], {"loss": {"metric": "l2"}}, "`loss.metric`"),
        (["light=bright"], ["a.png"], [], {}, "'light'"),
    ],
)
def test_each_wrong_option_is_named(
    rules: list[str], styles: list[str], negatives: list[str], sections: Any, named: str
) -> None:
    with pytest.raises(UserError) as caught:
        recipe_from_options("set", rules, styles, negatives, sections)
    assert named in str(caught.value)


def test_with_iterations(tmp_path: Path) -> None:
    recipe = load(tmp_path, GOOD)
    longer = with_iterations(recipe, 99)
    assert longer.training.iterations == 99
    assert dataclasses.replace(longer, training=recipe.training) == recipe
    for wrong in (0, -5, 10**12):
        with pytest.raises(UserError, match="--iterations"):
            with_iterations(recipe, wrong)


def test_loggers_are_named_twice_and_used_once(tmp_path: Path) -> None:
    recipe = load(tmp_path, FULL)
    assert with_loggers(recipe, ["wandb"]).log == ("tensorboard", "wandb")
    assert with_loggers(load(tmp_path, GOOD), ["wandb", "wandb"]).log == ("wandb",)
    with pytest.raises(UserError, match="--log"):
        with_loggers(recipe, ["excel"])
