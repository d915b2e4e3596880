"""A training run in its folder: log, sample sheets, checkpoints, and the finished rule set."""

from __future__ import annotations

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

import torch
from PIL import Image

from ncavideo.nca.catalog import SUFFIX
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.training import checkpoint_file
from ncavideo.training.animation import save_animation
from ncavideo.training.loggers import folder as log
from ncavideo.training.loggers import open_logger
from ncavideo.training.loggers.base import Logger, RunGroup
from ncavideo.training.make_trainer import make_trainer
from ncavideo.training.process_group import ALONE, Order, ProcessGroup
from ncavideo.training.progress import Progress
from ncavideo.training.recipe import Recipe
from ncavideo.training.sheet import sample_sheet
from ncavideo.training.smaller import smaller
from ncavideo.training.trainer import Trainer
from ncavideo.util.atomic_write import check_output, is_file, replacing
from ncavideo.util.device import choose_device
from ncavideo.util.errors import OutputError, UserError, ran_out
from ncavideo.util.events import event, phase
from ncavideo.util.lock import Lock
from ncavideo.version import __version__

CHECKPOINT = "checkpoint.pt"
LOCK = ".lock"
RECIPE = "recipe.toml"
SHEET = "sheet-{}.png"
ANIMATION = "sample.mp4"
DREAMS = "dreams"  # a folder of the pictures that were drawn from words
LOG_EVERY = 10  # iterations a line of the log is the mean of
SLOWER = 0.5  # factor of the learning rate after a loss that was not finite
MOST_RETRIES = 6  # times that may happen before the run gives up


class TrainingInterruptedError(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a run, which is saved; says where, and how to go on."""

    def __init__(self, iteration: int, iterations: int, folder: Path) -> None:
        super().__init__(
            f"interrupted: iteration {iteration} of {iterations} is saved in {folder}; the same"
            " command goes on from there"
        )
        self.iteration = iteration


def train(
    recipe: Recipe,
    output: Path,
    folder: Path,
    *,
    device: str = "auto",
    sheet_every: int = 250,
    checkpoint_every: int = 100,
    resume: bool = True,
    overwrite: bool = True,
    group: RunGroup | None = None,
    peers: ProcessGroup = ALONE,
    report: Callable[[Progress], None] = lambda progress: None,
    note: Callable[[str], None] = lambda text: None,
) -> RuleSet:
    """Train `recipe`, keep everything about the run in `folder`, write the rule set to `output`.

    Goes on from the folder's checkpoint if there is one and `resume` is set. On Ctrl-C and SIGTERM
    the run is saved before `TrainingInterruptedError`, a `KeyboardInterrupt`, leaves. A loss that
    is not finite takes the run back to its last checkpoint with a smaller rate. Without
    `overwrite` an output that is there, even one that appeared meanwhile, is left alone. `group`
    is the sweep that the run is part of. `peers`: the processes that share each batch, of which
    this is the first. `note` gets sentences that the user should read.
    Raises `UserError` for unusable pictures or a checkpoint of another recipe, `OutputError` when
    the disk is full, memory runs out or the loss overflows again and again.
    """
    check_output(output, (SUFFIX,), overwrite)
    if not _is_folder(folder):
        raise UserError(f"{folder} cannot be the run's folder: it is something else")
    where = torch.device(choose_device(device))
    try:
        trainer = make_trainer(recipe, where, note, peers, folder / DREAMS)
        resume = resume and (folder / CHECKPOINT).exists()
        if recipe.start and not resume:
            file = recipe.folder / recipe.start
            trainer.begin_with(open_ruleset(str(file) if is_file(file) else recipe.start))
        with _own_folder(folder):
            _begin(trainer, folder, resume)
            with replacing(folder / RECIPE) as partial:
                partial.write_text(recipe.to_toml(folder), encoding="utf-8")
            with ExitStack() as closing:
                done = trainer.iteration
                loggers = [open_logger(name, recipe, folder, done, group) for name in recipe.log]
                for logger in loggers:
                    closing.callback(logger.close)
                run = _Run(trainer, folder, loggers, sheet_every, checkpoint_every, report, note)
                event(
                    "train.begin", name=recipe.name, folder=folder, iteration=trainer.iteration,
                    iterations=recipe.iterations, device=str(where),
                )  # fmt: skip
                phase("first iteration")
                run.finish()
            ruleset = to_ruleset(trainer)
            ruleset.save(output, overwrite)
            event("train.done", output=output, iterations=trainer.iteration)
    except OSError as error:
        raise OutputError(f"cannot write the run: {error.strerror or error}") from error
    except Exception as error:
        if ran_out(error):
            raise OutputError(
                f"there is not enough memory on {where}: {smaller(recipe, where)}"
            ) from error
        raise
    return ruleset


def _begin(trainer: Trainer, folder: Path, resume: bool) -> None:
    """Go on from the folder's checkpoint, or begin anew without what another run left there."""
    if resume:
        checkpoint_file.restore(trainer, folder / CHECKPOINT)
        log.cut(folder, trainer.iteration)
    else:
        _begin_anew(trainer, folder)
    trainer.group.tell(Order.RESTORE, trainer.slowed)


def _begin_anew(trainer: Trainer, folder: Path) -> None:
    if (folder / log.LOG).exists():
        for leftover in (folder / log.LOG, *folder.glob(SHEET.format("[0-9]" * 6))):
            leftover.unlink()
    checkpoint_file.save(trainer, folder / CHECKPOINT)


def _is_folder(path: Path) -> bool:
    """Return whether there is a folder of that name, or one can be."""
    try:
        return path.is_dir() or not path.exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        return False


@contextmanager
def _own_folder(folder: Path) -> Iterator[None]:
    """Make the run's folder, and keep other runs out of it."""
    folder.mkdir(parents=True, exist_ok=True)
    busy = f"another training is at work in {folder}: wait for it, or name another --folder"
    lock = Lock(folder / LOCK, busy)
    try:
        yield
    finally:
        lock.release()


def save_so_far(recipe: Recipe, output: Path, folder: Path, *, device: str = "auto") -> int:
    """Write the rule set of the last checkpoint of a run in `folder`; return its iteration.

    At 0 iterations nothing is written. Raises `UserError` for a checkpoint that is damaged or
    another recipe's.
    """
    checkpoint = folder / CHECKPOINT
    if not checkpoint.exists():
        return 0
    trainer = make_trainer(recipe, torch.device(choose_device(device)), dreams=folder / DREAMS)
    checkpoint_file.restore(trainer, checkpoint)
    if trainer.iteration:
        to_ruleset(trainer).save(output)
    return trainer.iteration


def follow(recipe: Recipe, folder: Path, device: torch.device, peers: ProcessGroup) -> None:
    """Compute this process's share of a run that rank 0 of `peers` trains in `folder`.

    Begins from each checkpoint that rank 0 begins from, and takes each iteration that it takes.
    Raises `PeerLostError` when rank 0 is gone.
    """
    trainer: Trainer | None = None
    for order, value in peers.orders():
        if trainer is None:
            trainer = make_trainer(recipe, device, group=peers, dreams=folder / DREAMS)
        if order == Order.RESTORE:
            checkpoint_file.restore(trainer, folder / CHECKPOINT)
            trainer.slowed = value
        else:
            trainer.begin()


@dataclass
class _Run:
    """The iterations of a run, and their log."""

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
        """Take the remaining iterations. Raises `TrainingInterruptedError` after Ctrl-C."""
        most = self.trainer.recipe.iterations
        with interrupts() as interrupted:
            coming: Callable[[], Progress] | None = None
            while coming or self.trainer.iteration < most:
                current, coming = coming or self.trainer.begin(), None
                if self.trainer.works_ahead and not (interrupted or self._is_due()):
                    coming = self.trainer.begin()
                progress = current()
                if not progress.finite:
                    self._go_back(progress.iteration)
                    coming = None
                    continue
                self.report(progress)
                self.recent.append(progress)
                last = progress.iteration == most
                if progress.iteration % LOG_EVERY == 0:
                    self._log()
                if progress.iteration % self.sheet_every == 0 or last:
                    self._show(progress.iteration)
                stopping = interrupted and not coming  # what has begun is finished first
                if progress.iteration % self.checkpoint_every == 0 or last or stopping:
                    checkpoint_file.save(self.trainer, self.folder / CHECKPOINT)
                    event("train.checkpoint", iteration=progress.iteration, **progress.losses)
                    self.retries = 0
                if stopping:
                    raise TrainingInterruptedError(progress.iteration, most, self.folder)

    def _is_due(self) -> bool:
        """Return whether anything is saved or logged before the next iteration may begin."""
        done = self.trainer.iteration
        often = (LOG_EVERY, self.sheet_every, self.checkpoint_every)
        return done == self.trainer.recipe.iterations or any(done % each == 0 for each in often)

    def _go_back(self, iteration: int) -> None:
        self.retries += 1
        if self.retries > MOST_RETRIES:
            raise OutputError(
                f"the loss is not finite, again and again (iteration {iteration}): start over with"
                " a smaller `training.learning_rate`"
            )
        checkpoint_file.restore(self.trainer, self.folder / CHECKPOINT)
        self.trainer.slowed *= SLOWER**self.retries
        self.trainer.group.tell(Order.RESTORE, self.trainer.slowed)
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
        sheet, animation = (
            self.folder / SHEET.format(f"{iteration:06d}"),
            self.folder / ANIMATION,
        )
        with replacing(sheet) as partial:
            Image.fromarray(sample_sheet(ruleset, device=device)).save(partial)
        save_animation(ruleset, animation, device)
        log.plot(self.folder)
        for logger in self.loggers:
            logger.picture(iteration, sheet)
            logger.video(iteration, animation)


@contextmanager
def interrupts() -> Iterator[list[int]]:
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


def to_ruleset(trainer: Trainer) -> RuleSet:
    """Return the trained network with its full provenance."""
    vgg, likeness = trainer.style.vgg, trainer.losses.likeness
    provenance = {
        "recipe": trainer.recipe.without_paths(),
        "iterations": trainer.iteration,
        **({"start": trainer.started_from} if trainer.started_from else {}),
        "guide": trainer.guide.name if trainer.guide else "none",
        **({"likeness": likeness.name} if likeness else {}),
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
