"""The recipes of presets: they load, and are what the presets were trained with."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from ncavideo.nca.catalog import plain_presets, presets
from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.recipe import GuideRecipe, ModelRecipe, Recipe, RuleRecipe, TrainingRecipe
from ncavideo.training.recipe_fields import keys
from ncavideo.training.recipe_file import load_recipe
from ncavideo.training.style_picture import load_style

REPOSITORY = Path(__file__).parents[2]
SHIPPED = sorted((REPOSITORY / "presets").glob("*.toml"))
BENCHMARKS = REPOSITORY / "benchmarks"
LONE = sorted(BENCHMARKS.glob("alone/*.safetensors"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_load_and_have_their_pictures_or_words(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    if recipe.guide.kind == "imagenet":
        assert all(rule.prompt and not rule.style for rule in recipe.rules)
        return
    paths = [recipe.folder / rule.style[0].path for rule in recipe.rules]
    if recipe.model.decoder:  # drawn three times as large, and not kept: `make_styles.py --fine`
        assert {path.parent.name for path in paths} == {"fine"}
        paths = [path.parents[1] / path.name for path in paths]
    pictures = [load_style(path) for path in paths]
    for rule, picture in zip(recipe.rules, pictures, strict=True):
        assert rule.prompt
        assert rule.credit
        assert picture.shape == pictures[0].shape
        assert min(picture.shape[1:]) >= 64


def test_some_recipe_is_shipped() -> None:
    assert SHIPPED


def test_every_shipped_recipe_is_written_as_it_is_read(tmp_path: Path) -> None:
    for path in SHIPPED:
        recipe = load_recipe(path)
        (tmp_path / path.name).write_text(recipe.to_toml(), encoding="utf-8")
        again = load_recipe(tmp_path / path.name)
        assert dataclasses.replace(again, folder=recipe.folder) == recipe


@pytest.mark.parametrize("name", presets())
def test_a_presets_recipe_is_what_it_was_trained_with(name: str) -> None:
    path = presets()[name]
    ruleset, recipe = RuleSet.load(path), load_recipe(path.with_suffix(".toml"))
    assert_trained_with(ruleset, recipe)
    if "start" in ruleset.provenance:  # those of another trainer do not say it
        assert ruleset.provenance["start"]["name"] == Path(recipe.start).stem


@pytest.mark.parametrize("path", LONE, ids=[path.stem for path in LONE])
def test_a_lone_rule_was_trained_with_its_presets_settings(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    lone = importlib.import_module("alone").lone
    # A set's later runs on light with detail are its own: a lone rule has none.
    recipes = []
    for preset in plain_presets().values():
        first = preset.with_name(f"{preset.stem}-first.toml")
        recipes.append(load_recipe(first if first.exists() else preset.with_suffix(".toml")))
    (shared,) = (r for r in recipes if path.stem in [rule.name for rule in r.rules])
    assert_trained_with(RuleSet.load(path), lone(shared, path.stem))


def assert_trained_with(ruleset: RuleSet, recipe: Recipe) -> None:
    """The recipe says the same as the file's provenance, but for keys that are newer than it."""
    told, said = _renamed(ruleset.provenance["recipe"]), json.loads(json.dumps(recipe.to_json()))
    assert ruleset.provenance["iterations"] == recipe.iterations
    for part, plain in (("model", ModelRecipe()), ("guide", GuideRecipe())):
        newer = {key: said[part].pop(key) for key in {*said[part]} - {*told[part]}}
        assert newer.items() <= dataclasses.asdict(plain).items()
    for key in ("name", "seed", "model", "rules", "guide"):
        assert told[key] == said[key], key
    stages = [told, *told.get("stages", ())], [said, *said["stages"]]
    assert len(stages[0]) == len(stages[1])
    for theirs, ours in zip(*stages, strict=True):
        # Without a rule that moves the weight of motion says nothing; its default has changed.
        ours["loss"]["motion"] = theirs["loss"]["motion"]
        for part, plain in (("loss", LossRecipe()), ("training", TrainingRecipe())):
            newer = {key: ours[part].pop(key) for key in {*ours[part]} - {*theirs[part]}}
            assert theirs[part] == ours[part]
            # Without a decoder nothing is smoothed.
            newer.pop("smooth", None)
            assert newer.items() <= dataclasses.asdict(plain).items()
    assert not any(rule["motion"] for rule in said["rules"])


def _renamed(value: Any) -> Any:
    """Return stored data with the present names of keys."""
    tables = (RuleRecipe, TrainingRecipe, LossRecipe)
    current = {old: k.name for table in tables for k in keys(table).values() for old in k.former}
    if isinstance(value, dict):
        return {current.get(key, key): _renamed(held) for key, held in value.items()}
    return [_renamed(held) for held in value] if isinstance(value, list) else value
