"""A training run in its folder: log, sample sheets, checkpoints, and the finished rule set."""

from __future__ import annotations

import contextlib
import datetime
import logging
import platform
import signal
import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from PIL import Image

from ncavideo.engines import choose_device
from ncavideo.errors import OutputError, UserError
from ncavideo.events import event
from ncavideo.ruleset import RuleSet, open_ruleset
from ncavideo.training.animation import save_animation
from ncavideo.training.loggers import folder as log
from ncavideo.training.loggers import open_logger
from ncavideo.training.loggers.base import Logger
from ncavideo.training.recipe import Recipe, RuleRecipe
from ncavideo.training.sheet import sample_sheet
from ncavideo.training.style import Exemplar, StyleLoss
from ncavideo.training.text import OpenClipGuide, Prompts, TextGuide
from ncavideo.training.trainer import Progress, Trainer, fast_bfloat16, load_style
from ncavideo.training.vgg import load_vgg
from ncavideo.version import __version__

CHECKPOINT = "checkpoint.pt"
RECIPE = "recipe.toml"
ANIMATION = "sample.mp4"
FLAT_STYLE = 0.004  # deviation of all channels, 0..1, below which a picture shows nothing
LEAST_STYLE, MOST_STYLE = 64, 2048  # pixels a side
LOG_EVERY = 10  # iterations a line of the log is the mean of
SLOWER = 0.5  # what the rate is multiplied by when the loss was not finite
MOST_RETRIES = 6  # times that may happen before the run gives up


def train(
    recipe: Recipe,
    output: Path,
    folder: Path,
    *,
    device: str = "auto",
    sheet_every: int = 250,
    checkpoint_every: int = 100,
    resume: bool = True,
    report: Callable[[Progress], None] = lambda progress: None,
    note: Callable[[str], None] = lambda text: None,
) -> RuleSet:
    """Train `recipe`, keep everything about the run in `folder`, write the rule set to `output`.

    Goes on from the folder's checkpoint if there is one and `resume` is set. On Ctrl-C and SIGTERM
    the run is saved before `KeyboardInterrupt` leaves. A loss that is not finite takes the run back
    to its last checkpoint with a smaller rate. `note` gets sentences that the user should read.
    Raises `UserError` for unusable pictures or a checkpoint of another recipe, `OutputError` when
    the disk is full, memory runs out or the loss overflows again and again.
    """
    if not output.absolute().parent.is_dir():
        raise UserError(f"there is no folder {output.absolute().parent} to write {output.name} in")
    where = torch.device(choose_device(device))
    trainer = make_trainer(recipe, where)
    for text in trainer.guide.notes if trainer.guide else ():
        note(text)
    checkpoint = folder / CHECKPOINT
    resume = resume and checkpoint.exists()
    if recipe.start and not resume:
        file = recipe.folder / recipe.start
        trainer.begin_with(open_ruleset(str(file) if file.is_file() else recipe.start))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if resume:
            _restore(trainer, checkpoint)
            log.cut(folder, trainer.iteration)
        else:
            (folder / log.LOG).unlink(missing_ok=True)
            _save_checkpoint(trainer, checkpoint)
        (folder / RECIPE).write_text(recipe.to_toml(folder), encoding="utf-8")
        with ExitStack() as closing:
            loggers = [open_logger(name, recipe, folder) for name in recipe.log]
            for logger in loggers:
                closing.callback(logger.close)
            run = _Run(trainer, folder, loggers, sheet_every, checkpoint_every, report, note)
            event(
                "train.begin", name=recipe.name, folder=folder, iteration=trainer.iteration,
                iterations=recipe.iterations, device=str(where),
            )  # fmt: skip
            run.finish()
        ruleset = to_ruleset(trainer)
        ruleset.save(output)
        event("train.done", output=output, iterations=trainer.iteration)
    except RuntimeError as error:
        if "memory" not in str(error):  # torch has no other sign of it on a processor
            raise
        raise OutputError(
            f"there is not enough memory on {where}: {_smaller(recipe)}, or use --device cpu"
        ) from error
    except OSError as error:
        raise OutputError(f"cannot write the run: {error.strerror or error}") from error
    return ruleset


def save_so_far(recipe: Recipe, output: Path, folder: Path, *, device: str = "auto") -> int:
    """Write the rule set of the last checkpoint of a run in `folder`; return its iteration.

    At 0 iterations nothing is written. Raises `UserError` for a checkpoint that is damaged or
    another recipe's.
    """
    checkpoint = folder / CHECKPOINT
    if not checkpoint.exists():
        return 0
    trainer = make_trainer(recipe, torch.device(choose_device(device)))
    _restore(trainer, checkpoint)
    if trainer.iteration:
        to_ruleset(trainer).save(output)
    return trainer.iteration


def _smaller(recipe: Recipe) -> str:
    """Say which setting to lower, and to what, for a run that needs half of the memory."""
    training, guide = recipe.training, recipe.guide
    if training.batch > 1:
        advice = f"lower `training.batch` from {training.batch} to {training.batch // 2}"
    else:
        advice = f"lower `training.size` from {training.size} to {max(32, training.size * 7 // 10)}"
    if guide.kind != "none" and guide.cutouts > 1:
        advice += f", or `guide.cutouts` from {guide.cutouts} to {guide.cutouts // 2}"
    return advice


def make_trainer(recipe: Recipe, device: torch.device) -> Trainer:
    """Load what the recipe names, pictures and networks, and return its trainer."""
    exemplars = [_exemplars(recipe, rule, device) for rule in recipe.rules]
    precise = torch.bfloat16 if fast_bfloat16(device) else torch.float32
    weights = recipe.folder / recipe.training.vgg
    vgg = load_vgg(str(weights) if weights.is_file() else recipe.training.vgg, device, precise)
    guide = _guide(recipe, device, precise)
    return Trainer(recipe, StyleLoss(vgg, exemplars, recipe.loss.metric), device, guide)


@dataclass
class _Run:
    """The iterations of a run, and what is written down about them."""

    trainer: Trainer
    folder: Path
    loggers: list[Logger]
    sheet_every: int
    checkpoint_every: int
    report: Callable[[Progress], None]
    note: Callable[[str], None]
    recent: list[Progress] = field(default_factory=list)
    retries: int = 0

    def finish(self) -> None:
        """Take the remaining iterations. Raises `KeyboardInterrupt` when one has been asked for."""
        most = self.trainer.recipe.iterations
        with _interrupts() as interrupted:
            while self.trainer.iteration < most:
                progress = self.trainer.step()
                if not progress.finite:
                    self._go_back(progress.iteration)
                    continue
                self.report(progress)
                self.recent.append(progress)
                last = progress.iteration == most
                if progress.iteration % LOG_EVERY == 0:
                    self._log()
                if progress.iteration % self.sheet_every == 0 or last:
                    self._show(progress.iteration)
                if progress.iteration % self.checkpoint_every == 0 or last or interrupted:
                    _save_checkpoint(self.trainer, self.folder / CHECKPOINT)
                    event("train.checkpoint", iteration=progress.iteration, **progress.losses)
                    self.retries = 0
                if interrupted:
                    raise KeyboardInterrupt

    def _go_back(self, iteration: int) -> None:
        self.retries += 1
        if self.retries > MOST_RETRIES:
            raise OutputError(
                f"the loss is not finite, again and again (iteration {iteration}): start over with"
                " a smaller `training.rate`"
            )
        _restore(self.trainer, self.folder / CHECKPOINT)
        self.trainer.slowed *= SLOWER**self.retries
        self.recent.clear()
        log.cut(self.folder, self.trainer.iteration)
        happened = (
            f"the loss was not finite at iteration {iteration}: back to iteration"
            f" {self.trainer.iteration} with a rate of {self.trainer.slowed:g} times the recipe's"
        )
        log.append(self.folder, {"iteration": self.trainer.iteration, "event": happened})
        event("train.rolled-back", logging.WARNING, reason=happened)
        self.note(happened)

    def _log(self) -> None:
        """Log the means since the last line."""
        mean = statistics.fmean
        groups: dict[str, dict[str, float]] = {}
        for group in ("losses", "kinds", "histories"):
            found: dict[str, list[float]] = {}
            for progress in self.recent:
                for name, value in getattr(progress, group).items():
                    found.setdefault(name, []).append(value)
            groups[group] = {name: mean(values) for name, values in found.items()}
        iteration, rate = self.recent[-1].iteration, self.trainer.rate()
        seconds = mean(progress.seconds for progress in self.recent)
        self.recent.clear()
        losses = groups.pop("losses")
        line = {"iteration": iteration, "rate": rate, "seconds": seconds, **losses, **groups}
        log.append(self.folder, line)
        values = {f"loss/{name}": value for name, value in losses.items()}
        for group, found_means in groups.items():
            values |= {f"style by {group}/{name}": v for name, v in found_means.items()}
        for logger in self.loggers:
            logger.numbers(iteration, values | {"rate": rate, "seconds": seconds})

    def _show(self, iteration: int) -> None:
        """Save a sheet, the animation and the plot."""
        ruleset, device = self.trainer.ruleset(), str(self.trainer.device)
        sheet, animation = self.folder / f"sheet-{iteration:06d}.png", self.folder / ANIMATION
        Image.fromarray(sample_sheet(ruleset, device=device)).save(sheet)
        save_animation(ruleset, animation, device)
        log.plot(self.folder)
        for logger in self.loggers:
            logger.picture(iteration, sheet)
            logger.video(iteration, animation)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Give a list that holds something once Ctrl-C or SIGTERM came.

    The iteration in hand is finished first, so that the checkpoint is a whole one. Off the main
    thread Python takes no signals, and the list stays empty.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exemplars(recipe: Recipe, rule: RuleRecipe, device: torch.device) -> list[Exemplar]:
    """Load a rule's style pictures. Raises `UserError` for one that nothing can be learnt from."""
    exemplars = []
    for picture in rule.style:
        rgb = load_style(recipe.folder / picture.path, picture.scale).to(device)
        height, width = rgb.shape[1:]
        if min(height, width) < LEAST_STYLE:
            raise UserError(
                f"the style picture {picture.path} is too small: it has {width}x{height} px, and"
                f" at least {LEAST_STYLE}x{LEAST_STYLE} are needed"
            )
        if height * width > MOST_STYLE**2:
            raise UserError(
                f"the style picture {picture.path} is too large ({width}x{height} px): give it a"
                f" `scale` of {MOST_STYLE / max(height, width):.2f} or less"
            )
        if float(rgb.flatten(1).std(1).max()) < FLAT_STYLE:
            raise UserError(
                f"the style picture {picture.path} is one flat colour: nothing to learn"
            )
        exemplars.append(Exemplar(rgb, picture.weight))
    return exemplars


def _guide(recipe: Recipe, device: torch.device, dtype: torch.dtype) -> TextGuide | None:
    asked = recipe.guide
    if asked.kind == "none":
        return None
    files = [recipe.folder / asked.model, recipe.folder / asked.pretrained]
    model, pretrained = (
        str(file) if file.is_file() else name
        for file, name in zip(files, (asked.model, asked.pretrained), strict=True)
    )
    prompts = [Prompts(rule.prompt, rule.negative) for rule in recipe.rules]
    return OpenClipGuide(
        prompts, model, pretrained, cutouts=asked.cutouts, device=device, dtype=dtype
    )


def to_ruleset(trainer: Trainer) -> RuleSet:
    """Return the trained network with its full provenance."""
    vgg = trainer.style.vgg
    provenance = {
        "recipe": _without_paths(trainer.recipe.to_json()),
        "iterations": trainer.iteration,
        **({"start": trainer.started_from} if trainer.started_from else {}),
        "guide": trainer.guide.name if trainer.guide else "none",
        "style_features": vgg.name,
        "light_scale": [trainer.style.dark, trainer.style.bright],
        "brightness": {
            rule.name: luminance
            for rule, luminance in zip(trainer.recipe.rules, trainer.style.brightness, strict=True)
            if luminance is not None
        },
        "versions": {
            "ncavideo": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "date": datetime.date.today().isoformat(),
    }
    return trainer.ruleset(provenance)


def _without_paths(value: Any) -> Any:
    """Return plain data with absolute paths cut to their names: nobody's business elsewhere."""
    if isinstance(value, dict):
        return {key: _without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(item) for item in value]
    absolute = isinstance(value, str) and Path(value).is_absolute()
    return Path(value).name if absolute else value


def _restore(trainer: Trainer, path: Path) -> None:
    """Go on from a checkpoint. Raises `UserError` if it is damaged or another recipe's."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        trainer.load_state_dict(state)
    except UserError:
        raise
    except (
        OSError,
        EOFError,
        RuntimeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        UnpicklingError,
    ) as error:
        raise UserError(
            f"the checkpoint {path} is damaged or not one of ours: delete it, or start over with"
            " --fresh"
        ) from error


def _save_checkpoint(trainer: Trainer, path: Path) -> None:
    """Write beside the last checkpoint, then replace it: a full disk costs no saved work."""
    partial = path.with_suffix(".part")
    try:
        torch.save(trainer.state_dict(), partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        # torch's own writer reports a full disk as a RuntimeError, with its source line.
        reason = error.strerror if isinstance(error, OSError) else "the disk may be full"
        raise OutputError(f"cannot save the checkpoint {path}: {reason}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
