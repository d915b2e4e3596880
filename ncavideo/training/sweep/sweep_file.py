"""Sweeps from TOML: a base recipe, and the values that its runs differ in."""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.recipe import (
    GuideRecipe,
    ModelRecipe,
    Recipe,
    RuleRecipe,
    TrainingRecipe,
)
from ncavideo.training.recipe_fields import keys
from ncavideo.training.recipe_file import load_recipe, parse_recipe, read_toml
from ncavideo.training.sweep.run_name import run_name, short_labels
from ncavideo.util.errors import UserError
from ncavideo.util.nearest import did_you_mean

FORMAT = 1
MOST_RUNS = 256
TOP = ("seed", "start")  # fields of the recipe itself that runs may differ in
TABLES = {
    "model": ModelRecipe, "training": TrainingRecipe, "loss": LossRecipe, "guide": GuideRecipe,
}  # fmt: skip


@dataclass(frozen=True)
class SweepRun:
    """One run: its `name`, its `values` by dotted fields of the recipe, and its whole `recipe`."""

    name: str
    values: dict[str, Any]
    recipe: Recipe


@dataclass(frozen=True)
class Sweep:
    """A sweep: the `fields` that its runs differ in, and the runs in the file's order."""

    name: str
    base: Recipe
    fields: tuple[str, ...]
    runs: tuple[SweepRun, ...]


def load_sweep(path: Path, changed: Callable[[Recipe], Recipe] = lambda recipe: recipe) -> Sweep:
    """Read and check a sweep and the recipes of all its runs.

    `changed`: what the command line makes of each recipe. Raises `UserError` that names the file
    and the key at fault.
    """
    data = read_toml(path, "sweep")
    version = data.pop("format", None)
    if isinstance(version, bool) or version != FORMAT:
        raise UserError(f"{path}: `format` must be {FORMAT}, the sweep format this ncavideo reads")
    known = ("name", "recipe", "vary", "run")
    for key in data:
        if key not in known:
            raise UserError(f"{path}: unknown key `{key}`{did_you_mean(key, known)}")
    name, recipe = data.get("name", path.stem), data.get("recipe")
    if not isinstance(name, str) or not name.strip():
        raise UserError(f"{path}: `name` must be text")
    if not isinstance(recipe, str) or not recipe:
        raise UserError(f"{path}: `recipe` must name the base recipe, a path from this file")
    base_path = path.resolve().parent / recipe
    base = changed(load_recipe(base_path))
    settings = _settings(path, data, _fields(base))
    varied_fields = tuple(dict.fromkeys(field for values in settings for field in values))
    labels = short_labels(varied_fields)
    source = read_toml(base_path)
    runs: list[SweepRun] = []
    seen: dict[str, str] = {}
    for values in settings:
        varied = copy.deepcopy(source)
        for field, value in values.items():
            _set(varied, field, value)
        own = changed(parse_recipe(varied, str(path), base.folder, base.name))
        run = SweepRun(run_name(values, labels), values, own)
        same = seen.setdefault(json.dumps(own.to_json(), sort_keys=True), run.name)
        if same != run.name or run.name in {other.name for other in runs}:
            raise UserError(f"{path}: the runs {same} and {run.name} are the same: leave one out")
        runs.append(run)
    return Sweep(name, base, varied_fields, tuple(runs))


def combinations(values: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Return every combination of one value of each field; the last field varies fastest."""
    return [
        dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())
    ]


def _settings(path: Path, data: dict[str, Any], fields: list[str]) -> list[dict[str, Any]]:
    """Return each run's values by field."""
    if ("vary" in data) == ("run" in data):
        raise UserError(f"{path}: a sweep needs either a [vary] table or [[run]] tables")
    if "run" in data:
        tables = data["run"]
        if not isinstance(tables, list) or not tables:
            raise UserError(f"{path}: `run` must be [[run]] tables")
        settings = [
            _flat(path, f"run[{index}]", table, fields) for index, table in enumerate(tables)
        ]
        count = len(settings)
    else:
        varied = _flat(path, "vary", data["vary"], fields)
        for field, values in varied.items():
            if not isinstance(values, list) or not values:
                raise UserError(f"{path}: `vary.{field}` must be a list of at least one value")
        count = math.prod(len(values) for values in varied.values())
    if count > MOST_RUNS:
        raise UserError(f"{path}: a sweep has at most {MOST_RUNS} runs, not {count}")
    return settings if "run" in data else combinations(varied)


def _flat(path: Path, where: str, table: object, fields: list[str]) -> dict[str, Any]:
    """Return a table's values by dotted fields, whether their keys are quoted or not."""
    found: dict[str, Any] = {}

    def walk(prefix: str, inner: Mapping[str, Any]) -> None:
        for key, value in inner.items():
            field = f"{prefix}.{key}" if prefix else key
            if field in fields:
                if field in found:
                    raise UserError(f"{path}: `{where}` has `{field}` twice")
                found[field] = value
            elif isinstance(value, dict) and value:
                walk(field, value)
            else:
                raise UserError(
                    f"{path}: `{where}` has an unknown field `{field}`{did_you_mean(field, fields)}"
                )

    if not isinstance(table, dict) or not table:
        raise UserError(f"{path}: `{where}` must be a table with at least one field of the recipe")
    walk("", table)
    return found


def _fields(base: Recipe) -> list[str]:
    """Return the dotted fields that runs may differ in."""
    found = [*TOP, *(f"{name}.{key}" for name, table in TABLES.items() for key in keys(table))]
    for rule in base.rules:
        found += [f"rule.{rule.name}.{key}" for key in keys(RuleRecipe) if key != "name"]
    return found


def _set(recipe: dict[str, Any], field: str, value: Any) -> None:
    """Set a dotted field in a recipe's data, in place of its former names, too."""
    section, _, key = field.rpartition(".")
    if not section:
        recipe[key] = value
        return
    if section.startswith("rule."):
        name = section.removeprefix("rule.")
        table = next(rule for rule in recipe["rule"] if rule["name"] == name)
        known = keys(RuleRecipe)[key]
    else:
        table = recipe.setdefault(section, {})
        known = keys(TABLES[section])[key]
    for former in known.former:
        table.pop(former, None)
    table[key] = value
