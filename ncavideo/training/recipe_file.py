"""Recipes from TOML. Errors name the key at fault."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ncavideo.nca.network import LIGHT
from ncavideo.nca.ruleset import NAME
from ncavideo.training.loggers import LOGGERS
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.recipe import (
    FORMAT,
    GuideRecipe,
    ModelRecipe,
    MotionRecipe,
    Recipe,
    RuleRecipe,
    Stage,
    StylePicture,
    TrainingRecipe,
)
from ncavideo.training.recipe_fields import Key, keys, with_current_names
from ncavideo.util.errors import UserError
from ncavideo.util.read_file import read_text

MOST_BYTES = 4 << 20
MOST_RULES = 64  # side by side in the samples, and what one small network can hold


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe. Raises `UserError` that names the key at fault."""
    return parse_recipe(read_toml(path), str(path), path.resolve().parent, path.stem)


def read_toml(path: Path, what: str = "recipe") -> dict[str, Any]:
    """Return a TOML file's data; errors, as `UserError`, call the file `what`."""
    try:
        # Some editors begin UTF-8 files with a byte order mark, which TOML does not allow.
        text = read_text(path, what, MOST_BYTES, "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"cannot read the {what} {path}: {reason}") from error
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the {what} {path} is not valid TOML: {error}") from error


def parse_recipe(data: dict[str, Any], path: str, folder: Path, name: str) -> Recipe:
    """Check a recipe's data. `path` is what errors call it, `name` its name if it gives none."""
    data = dict(data)
    version = data.pop("format", None)
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= FORMAT:
        newer = isinstance(version, int) and version > FORMAT
        raise UserError(
            f"{path}: `format` must be {FORMAT}, the recipe format this ncavideo reads"
            f" (found {_shown(version)})" + (": install a newer ncavideo" if newer else "")
        )
    tables = {"rule", "model", "training", "loss", "guide", "stage"}
    known = {"name", "seed", "start", "log", "style"} | tables
    _no_unknown(path, "", data, known)
    name = _text(path, "name", data.get("name", name))
    if not NAME.fullmatch(name):
        raise UserError(
            f"{path}: `name` must be a lower-case word of letters, digits, - and _, not {name!r}"
        )
    seed = _number(path, "seed", data.get("seed", 0), keys(Recipe)["seed"])
    rules = data.get("rule")
    if not isinstance(rules, list) or not rules:
        raise UserError(f"{path}: a recipe needs at least one [[rule]] table")
    if len(rules) > MOST_RULES:
        raise UserError(f"{path}: a recipe has at most {MOST_RULES} rules, not {len(rules)}")
    shared = _styles(path, "style", data["style"]) if "style" in data else ()
    parsed = tuple(_rule(path, i, rule, shared) for i, rule in enumerate(rules))
    names = [rule.name for rule in parsed]
    for rule_name in names:
        if names.count(rule_name) > 1:
            raise UserError(f"{path}: the rule {rule_name!r} is named twice")
    guide = _table(path, "guide", data.get("guide", {}), GuideRecipe)
    for index, rule in enumerate(parsed):
        if not rule.style and (guide.kind == "none" or not rule.prompt):
            raise UserError(
                f"{path}: `rule[{index}].style` is missing: a rule learns from a picture, or from"
                " a prompt and a [guide]"
            )
    if guide.dream and guide.kind != "imagenet":
        raise UserError(
            f"{path}: `guide.dream` draws with the guide imagenet, and `guide.kind` is"
            f" {guide.kind}: say --guide imagenet, or leave it out"
        )
    model = _table(path, "model", data.get("model", {}), ModelRecipe)
    if LIGHT in names:
        raise UserError(
            f"{path}: no rule may be called {LIGHT!r}, as the channel of light is: rename it"
        )
    training = _table(path, "training", data.get("training", {}), TrainingRecipe)
    loss = _table(path, "loss", data.get("loss", {}), LossRecipe)
    stages = _stages(path, data.get("stage", []), Stage(training, loss))
    for where, stage in [("training", training)] + [
        (f"stage[{index}]", stage.training) for index, stage in enumerate(stages)
    ]:
        for key in ("oversample", "oversample_fresh"):
            chosen = getattr(stage, key)
            if chosen and chosen not in names:
                raise UserError(
                    f"{path}: `{where}.{key}` must be a rule ({', '.join(names)}),"
                    f" not {_shown(chosen)}"
                )
    start = _text(path, "start", data.get("start", ""))
    if training.weight_average and not start:
        raise UserError(
            f"{path}: `training.weight_average` needs a `start`: there are only random weights to"
            " average with"
        )
    return Recipe(
        name,
        parsed,
        model,
        training,
        loss,
        guide,
        stages,
        int(seed),
        start,
        _loggers(path, data.get("log", [])),
        folder,
    )


def with_iterations(recipe: Recipe, iterations: int) -> Recipe:
    """Return the recipe with another number of iterations, in one stage: `--iterations`."""
    checked = int(
        _number("--iterations", "iterations", iterations, keys(TrainingRecipe)["iterations"])
    )
    training = dataclasses.replace(recipe.training, iterations=checked)
    return dataclasses.replace(recipe, training=training, stages=())


def with_loggers(recipe: Recipe, loggers: Sequence[str]) -> Recipe:
    """Return the recipe with more loggers, from the command line's option."""
    more = _loggers("--log", list(loggers))
    return dataclasses.replace(recipe, log=tuple(dict.fromkeys((*recipe.log, *more))))


def _shown(value: object) -> str:
    """Return a value for an error, short, whatever it is."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return "a number too long to print"
    return text if len(text) <= 60 else text[:57] + "..."


def _no_unknown(path: str, where: str, data: dict[str, Any], known: set[str]) -> None:
    for key in data:
        if key not in known:
            raise UserError(
                f"{path}: unknown key `{where}{key}`; known here: {', '.join(sorted(known))}"
            )


def _text(path: str, key: str, value: object) -> str:
    if not isinstance(value, str):
        raise UserError(f"{path}: `{key}` must be text, not {_shown(value)}")
    return value


def _number(path: str, key: str, value: object, known: Key) -> float:
    kind = type(known.default)
    good = isinstance(value, int) or (kind is float and isinstance(value, float))
    assert known.bounds is not None
    low, high = known.bounds
    if isinstance(value, bool) or not good or not low <= value <= high:  # type: ignore[operator]
        what = "a whole number" if kind is int else "a number"
        raise UserError(
            f"{path}: `{key}` must be {what} from {low:g} to {high:g}, not {_shown(value)}"
        )
    return kind(value)  # type: ignore[no-any-return]


def _rule(path: str, index: int, data: object, shared: tuple[StylePicture, ...]) -> RuleRecipe:
    where = f"rule[{index}]."
    if not isinstance(data, dict):
        raise UserError(f"{path}: `rule[{index}]` must be a [[rule]] table")
    data = with_current_names(path, where, data, RuleRecipe)
    known = keys(RuleRecipe)
    _no_unknown(path, where, data, set(known))
    if "name" not in data:
        raise UserError(f"{path}: `{where}name` is missing")
    values: dict[str, Any] = {"style": shared}
    for key, value in data.items():
        if key == "style":
            values[key] = _styles(path, where + key, value)
        elif key in ("prompt", "negative"):
            values[key] = _texts(path, where + key, value)
        elif key == "motion":
            values[key] = _table(path, where + key, value, MotionRecipe)
        elif known[key].bounds:
            values[key] = _number(path, where + key, value, known[key])
        else:
            values[key] = _text(path, where + key, value)
    rule = RuleRecipe(**values)
    if not NAME.fullmatch(rule.name):
        raise UserError(
            f"{path}: `{where}name` must be a lower-case word of letters, digits, - and _,"
            f" not {rule.name!r}"
        )
    return rule


def _texts(path: str, key: str, value: object) -> tuple[str, ...]:
    """Read one text or a list of them; empty ones say nothing and are refused."""
    values = value if isinstance(value, list) else [value]
    texts = tuple(_text(path, key, text) for text in values)
    if not all(text.strip() for text in texts):
        raise UserError(f"{path}: `{key}` must not be empty")
    return texts


def _styles(path: str, key: str, value: object) -> tuple[StylePicture, ...]:
    """Read a picture's path, a table with its weight and scale, or a list of either."""
    found = []
    for picture in value if isinstance(value, list) else [value]:
        if not isinstance(picture, dict):
            found.append(StylePicture(_text(path, key, picture)))
            continue
        _no_unknown(path, f"{key}.", picture, {f.name for f in dataclasses.fields(StylePicture)})
        if "path" not in picture:
            raise UserError(f"{path}: `{key}.path` is missing")
        numbers = {
            name: _number(path, f"{key}.{name}", picture[name], known)
            for name, known in keys(StylePicture).items()
            if name in picture
        }
        found.append(StylePicture(_text(path, f"{key}.path", picture["path"]), **numbers))
    if not found:
        raise UserError(f"{path}: `{key}` names no picture")
    return tuple(found)


def _loggers(path: str, value: object) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    for name in names:
        if not isinstance(name, str) or name not in LOGGERS:
            raise UserError(
                f"{path}: `log` may name {', '.join(LOGGERS)}, not {_shown(name)}; the run's"
                " folder always has a log"
            )
    return tuple(dict.fromkeys(names))


# A later stage cannot change these, since the whole run uses the same networks and exemplars.
_FIXED = ("precision", "optimiser", "vgg", "metric", "light_blur")


def _stages(path: str, data: object, before: Stage) -> tuple[Stage, ...]:
    """Read the [[stage]] tables: keys of [training] and [loss], the rest as in the one before."""
    if not isinstance(data, list):
        raise UserError(f"{path}: `stage` must be [[stage]] tables")
    found: list[Stage] = []
    for index, values in enumerate(data):
        where = f"stage[{index}]"
        if not isinstance(values, dict):
            raise UserError(f"{path}: `{where}` must be a [[stage]] table")
        values = with_current_names(path, f"{where}.", values, TrainingRecipe, LossRecipe)
        parts: dict[str, Any] = {}
        known: set[str] = set()
        for name in ("training", "loss"):
            part = getattr(before, name)
            own = set(keys(type(part))) - set(_FIXED)
            given = {key: value for key, value in values.items() if key in own}
            checked = vars(_table(path, where, given, type(part)))
            parts[name] = dataclasses.replace(part, **{key: checked[key] for key in given})
            known |= own
        _no_unknown(path, f"{where}.", values, known)
        if "iterations" not in values:
            raise UserError(f"{path}: `{where}.iterations` is missing")
        before = Stage(**parts)
        found.append(before)
    return tuple(found)


def _table(path: str, section: str, values: object, kind: type) -> Any:
    if not isinstance(values, dict):
        raise UserError(f"{path}: `{section}` must be a [{section}] table")
    known = keys(kind)
    values = with_current_names(path, f"{section}.", values, kind)
    _no_unknown(path, f"{section}.", values, set(known))
    checked: dict[str, Any] = {}
    for name, value in values.items():
        key, default = f"{section}.{name}", known[name].default
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise UserError(f"{path}: `{key}` must be true or false, not {_shown(value)}")
            checked[name] = value
        elif isinstance(default, str) and not known[name].choices:
            checked[name] = _text(path, key, value)
        elif isinstance(default, str):
            if value not in known[name].choices:
                raise UserError(
                    f"{path}: `{key}` must be one of {', '.join(known[name].choices)},"
                    f" not {_shown(value)}"
                )
            checked[name] = value
        elif isinstance(default, tuple):
            good = isinstance(value, list) and len(value) == 2
            good = good and all(isinstance(v, int) and not isinstance(v, bool) for v in value)
            if not good or not 1 <= value[0] <= value[1] <= 4096:
                raise UserError(
                    f"{path}: `{key}` must be [fewest, most] steps, not {_shown(value)}"
                )
            checked[name] = tuple(value)
        else:
            checked[name] = _number(path, key, value, known[name])
    return kind(**checked)


def recipe_from_options(
    name: str,
    rules: Sequence[str],
    styles: Sequence[str],
    negatives: Sequence[str] = (),
    sections: Mapping[str, Mapping[str, object]] | None = None,
    **top: object,
) -> Recipe:
    """Make a recipe of the command line's options.

    `rules` are NAME=PROMPT or NAME, `styles` NAME=PATH or PATH (for every rule), `negatives`
    NAME=PROMPT; a rule named again has one more prompt. `sections` holds the tables' keys, where
    None stands for the default. A guide is used when any rule has a prompt, wanted or not, and
    `guide.kind` is not given. `name` may be any text; what no name can have becomes a dash. Raises
    `UserError`.
    """
    where = "the command line"
    name = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:32]
    name = name if NAME.fullmatch(name) else f"rules-{name}"[:32].rstrip("-_")
    entries: dict[str, dict[str, Any]] = {}
    for rule in rules:
        rule_name, _, prompt = (part.strip() for part in rule.partition("="))
        if not NAME.fullmatch(rule_name):
            raise UserError(
                f"--rule {rule!r} does not start with a name of lower-case letters, digits, - and"
                " _: write NAME=PROMPT"
            )
        entry = entries.setdefault(rule_name, {"name": rule_name})
        if "=" in rule:
            entry.setdefault("prompt", []).append(prompt)
    data: dict[str, Any] = {"format": FORMAT, "rule": list(entries.values()), **top}
    for style in styles:
        rule_name, equals, path = style.partition("=")
        to = entries[rule_name] if equals and rule_name in entries else data
        to.setdefault("style", []).append(path if to is not data else style)
    for negative in negatives:
        rule_name, equals, prompt = negative.partition("=")
        if not equals or rule_name not in entries:
            raise UserError(f"--negative {negative!r} is not NAME=PROMPT of a --rule")
        entries[rule_name].setdefault("negative", []).append(prompt.strip())
    for section, values in (sections or {}).items():
        data[section] = {key: value for key, value in values.items() if value is not None}
    if any("prompt" in entry or "negative" in entry for entry in entries.values()):
        data.setdefault("guide", {}).setdefault("kind", "open_clip")
    return parse_recipe(data, where, Path.cwd(), name)
