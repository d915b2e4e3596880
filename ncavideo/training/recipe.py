"""What a recipe says: how a rule set is trained. `recipe_file` reads it from TOML."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from ncavideo.util.atomic_write import is_file

FORMAT = 1
LEAST_SIZE = 32  # cells a side of a training grid
RANGE, WORDS = "range", "words"  # in a field's metadata


def number(default: float, low: float, high: float) -> Any:
    """Return a field for a number from `low` to `high`."""
    return field(default=default, metadata={RANGE: (low, high)})


def choice(default: str, *others: str) -> Any:
    """Return a field for one of several words."""
    return field(default=default, metadata={WORDS: (default, *others)})


@dataclass(frozen=True)
class StylePicture:
    """A picture that a rule learns from.

    `weight`: its share among the rule's pictures; `scale`: enlarged or shrunk by this first.
    """

    path: str
    weight: float = number(1.0, 1e-6, 1e6)
    scale: float = number(1.0, 0.05, 20)


@dataclass(frozen=True)
class MotionRecipe:
    """How a rule's texture drifts.

    `angle` in degrees: 0 is to the right, 90 upwards; `speed` in cells a step.
    """

    angle: float = number(0.0, -360, 360)
    speed: float = number(0.05, 0, 1)


@dataclass(frozen=True)
class RuleRecipe:
    """One rule: its name, the pictures it learns from, and what it should look like in words.

    A guide leads it towards its prompts and away from the negative ones; without a guide they only
    describe it. `still`: how much of the stillness loss applies to it; 0 lets it move as it likes.
    `motion`: where to it drifts instead of holding still.
    """

    name: str
    style: tuple[StylePicture, ...] = ()
    prompt: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    credit: str = ""
    still: float = number(1.0, 0, 1)
    motion: MotionRecipe | None = None


@dataclass(frozen=True)
class GuideRecipe:
    """What judges pictures by the prompts. `kind` none: nothing does.

    `model`: open_clip's name or an architecture's JSON file; `pretrained`: a tag or a file, the
    files relative to the recipe; `cutouts`: parts of each picture that are looked at.
    """

    kind: str = choice("none", "open_clip")
    model: str = "ViT-B-32"
    pretrained: str = "laion2b_s34b_b79k"
    cutouts: int = number(8, 1, 256)


@dataclass(frozen=True)
class ModelRecipe:
    """The network's shape. `light`: whether it has the channel that asks for bright or dark."""

    channels: int = number(12, 3, 64)
    hidden: int = number(96, 1, 1024)
    fire_rate: float = number(0.5, 0.01, 1)
    light: bool = True


@dataclass(frozen=True)
class TrainingRecipe:
    """The loop. Sizes in cells, `steps` the fewest and most steps of an iteration.

    Shares are probabilities per sample and iteration: `reseed` starts from the seed, `change` asks
    a living sample for something else. Of those requests, `mixed` show two rules, `weak` are at
    part of their strength, `light_maps` have a light that varies in place. `damage` erases a disc,
    `reflect` runs with reflecting edges, `long` first lives on, unjudged, for up to `long_steps`
    steps. `favour` names a rule that is asked for as often as all others together, `favour_young`
    one of which that holds among samples from the seed only. `rate` is the learning rate's peak;
    `schedule` says how it falls. `keep` is the share of the weights it began with in the mean that
    a stage ends with. `vgg` is where VGG16's weights come from, or their file.
    """

    iterations: int = number(6000, 1, 10_000_000)
    size: int = number(96, LEAST_SIZE, 1024)
    batch: int = number(2, 1, 256)
    steps: tuple[int, int] = (24, 56)
    pool: int = number(96, 1, 65536)
    rate: float = number(1.5e-3, 1e-7, 1)
    optimiser: str = choice("adam", "adamw")
    schedule: str = choice("cosine", "constant")
    reseed: float = number(0.04, 0, 1)
    change: float = number(0.5, 0, 1)
    mixed: float = number(0.35, 0, 1)
    weak: float = number(0.2, 0, 1)
    light_maps: float = number(0.7, 0, 1)
    damage: float = number(0.15, 0, 1)
    reflect: float = number(0.4, 0, 1)
    long: float = number(0.08, 0, 1)
    long_steps: int = number(4000, 1, 100_000)
    favour: str = ""
    favour_young: str = ""
    keep: float = number(0.0, 0, 1)
    precision: str = choice("auto", "float32", "bfloat16")
    vgg: str = "auto"


@dataclass(frozen=True)
class LossRecipe:
    """Weights of the loss terms, and how style is compared (`metric`).

    `text` weighs the guide. `brightness` asks blurred luminance to follow the light. `corner`
    forbids more energy near the grid's Nyquist corner, the checkerboard, than the exemplar has.
    `stillness` asks a sample that is not asked for anything new to hold its picture over eight
    steps, a video frame's worth, from the share `still_from` of the iterations on: a texture finds
    its shapes before it holds them. `motion` asks the same of rules with a motion, for the picture
    carried along, from the first iteration on; standing still costs 1.
    """

    metric: str = choice("sliced-wasserstein", "relaxed-transport", "gram")
    style: float = number(1.0, 0, 1e6)
    text: float = number(2.0, 0, 1e6)
    overflow: float = number(50.0, 0, 1e6)
    brightness: float = number(10.0, 0, 1e6)
    corner: float = number(0.1, 0, 1e6)
    stillness: float = number(2.0, 0, 1e6)
    motion: float = number(1.0, 0, 1e6)
    still_from: float = number(0.625, 0, 1)


@dataclass(frozen=True)
class Stage:
    """A part of the run: it begins where the one before ended, with its own loop and losses.

    Where its `size` or `pool` is another, its samples begin at the seed.
    """

    training: TrainingRecipe
    loss: LossRecipe


@dataclass(frozen=True)
class Recipe:
    """A whole recipe.

    `training` and `loss` are the first stage, `stages` are those that follow. `start` is a rule set
    whose weights the run begins with: a preset, a file or an address on the hub; rules of the same
    names go on from what they are there. `log` names further loggers, `folder` is where relative
    paths start.
    """

    name: str
    rules: tuple[RuleRecipe, ...]
    model: ModelRecipe = field(default_factory=ModelRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    loss: LossRecipe = field(default_factory=LossRecipe)
    guide: GuideRecipe = field(default_factory=GuideRecipe)
    stages: tuple[Stage, ...] = ()
    seed: int = number(0, 0, 2**32 - 1)
    start: str = ""
    log: tuple[str, ...] = ()
    folder: Path = Path()

    @property
    def iterations(self) -> int:
        """The number of iterations of all stages."""
        return self.training.iterations + sum(s.training.iterations for s in self.stages)

    def stage_at(self, iteration: int) -> tuple[Stage, int]:
        """Return the stage of the iteration after `iteration` others, and where it began."""
        begin, stage = 0, Stage(self.training, self.loss)
        for following in self.stages:
            if iteration < begin + stage.training.iterations:
                break
            begin, stage = begin + stage.training.iterations, following
        return stage, begin

    def ends_stage(self, iteration: int) -> bool:
        """Return whether a stage ends with this many iterations."""
        return iteration == self.iterations or self.stage_at(iteration)[1] == iteration > 0

    def to_json(self) -> dict[str, Any]:
        """Return what makes the rule set what it is as plain data, for its provenance."""
        data = dataclasses.asdict(self)
        del data["folder"], data["log"]
        return data

    def without_paths(self) -> dict[str, Any]:
        """Return `to_json` with absolute paths cut to their names: nobody's business elsewhere."""
        data = self.to_json()
        data["start"] = _named(data["start"])
        data["training"]["vgg"] = _named(data["training"]["vgg"])
        for stage in data["stages"]:
            stage["training"]["vgg"] = _named(stage["training"]["vgg"])
        for key in ("model", "pretrained"):
            data["guide"][key] = _named(data["guide"][key])
        for rule in data["rules"]:
            for picture in rule["style"]:
                picture["path"] = _named(picture["path"])
        return data

    def to_toml(self, folder: Path | None = None) -> str:
        """Return the recipe as a file's text: `load_recipe` of it gives the same recipe.

        Says what differs from the defaults; paths are relative to `folder`, by default the
        recipe's own.
        """
        where = (folder or self.folder).absolute()

        def moved(path: str) -> str:
            return path if where == self.folder.absolute() else _relative(self.folder / path, where)

        data: dict[str, Any] = {"format": FORMAT, "name": self.name, "seed": self.seed}
        if self.start:
            file = is_file(self.folder / self.start)
            data["start"] = moved(self.start) if file else self.start
        if self.log:
            data["log"] = list(self.log)
        data["rule"] = []
        for rule in self.rules:
            entry = _changes(rule)
            pictures = [{**_changes(p), "path": moved(p.path)} for p in rule.style]
            styles = [p["path"] if len(p) == 1 else p for p in pictures]
            for key, values in (
                ("style", styles), ("prompt", list(rule.prompt)), ("negative", list(rule.negative)),
            ):  # fmt: skip
                entry.pop(key, None)
                if values:
                    entry[key] = values[0] if len(values) == 1 else values
            if rule.motion is not None:
                entry["motion"] = dataclasses.asdict(rule.motion)
            data["rule"].append({"name": rule.name, **entry})
        for section in ("model", "training", "loss", "guide"):
            changes = _changes(getattr(self, section))
            if section == "guide":
                for key in ("model", "pretrained"):
                    if is_file(self.folder / str(changes.get(key))):
                        changes[key] = moved(changes[key])
            if section == "training" and is_file(self.folder / self.training.vgg):
                changes["vgg"] = moved(self.training.vgg)
            if changes:
                data[section] = changes
        before = Stage(self.training, self.loss)
        for stage in self.stages:
            changes = {
                f.name: list(value) if isinstance(value, tuple) else value
                for part in ("training", "loss")
                for f in dataclasses.fields(getattr(stage, part))
                if (value := getattr(getattr(stage, part), f.name))
                != getattr(getattr(before, part), f.name)
                or f.name == "iterations"
            }
            data.setdefault("stage", []).append(changes)
            before = stage
        return tomli_w.dumps(data)


def _changes(part: Any) -> dict[str, Any]:
    """Return a dataclass's fields that differ from their defaults."""
    found = {}
    for f in dataclasses.fields(part):
        value = getattr(part, f.name)
        if value != f.default:
            found[f.name] = list(value) if isinstance(value, tuple) else value
    return found


def _named(path: str) -> str:
    return Path(path).name if Path(path).is_absolute() else path


def _relative(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder; as it is where there is no such way (other drives)."""
    try:
        return Path(os.path.relpath(path.absolute(), folder)).as_posix()
    except ValueError:
        return str(path.absolute())
