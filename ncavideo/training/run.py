"""A training run in its folder: log, sample sheets, checkpoints, and the finished rule set."""

from __future__ import annotations

import datetime
import json
import platform
import signal
import statistics
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import torch
from PIL import Image

from ncavideo.engines import choose_device
from ncavideo.errors import UserError
from ncavideo.ruleset import RuleSet
from ncavideo.training.recipe import Recipe, RuleRecipe
from ncavideo.training.sheet import sample_sheet
from ncavideo.training.style import Exemplar, StyleLoss
from ncavideo.training.text import OpenClipGuide, Prompts, TextGuide
from ncavideo.training.trainer import Progress, Trainer, fast_bfloat16, load_style
from ncavideo.training.vgg import load_vgg

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
FLAT_STYLE = 0.004  # deviation of all channels, 0..1, below which a picture shows nothing
LEAST_STYLE, MOST_STYLE = 64, 2048  # pixels a side
LOG_EVERY = 10  # iterations a line of the log is the mean of


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
) -> RuleSet:
    """Train `recipe`, keep everything about the run in `folder`, write the rule set to `output`.

    Goes on from the folder's checkpoint if there is one and `resume` is set. On Ctrl-C the run is
    saved before `KeyboardInterrupt` leaves. Raises `UserError` for unusable pictures or a
    checkpoint of another recipe.
    """
    if not output.absolute().parent.is_dir():
        raise UserError(f"there is no folder {output.absolute().parent} to write {output.name} in")
    where = torch.device(choose_device(device))
    exemplars = [_exemplars(recipe, rule, where) for rule in recipe.rules]
    precise = torch.bfloat16 if fast_bfloat16(where) else torch.float32
    vgg = load_vgg(recipe.training.vgg, where, precise)
    guide = _guide(recipe, where, precise)
    style = StyleLoss(vgg, exemplars, recipe.loss.metric)
    trainer = Trainer(recipe, style, where, guide)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    if resume and checkpoint.exists():
        _restore(trainer, checkpoint)
        _cut_log(folder / LOG, trainer.iteration)
    elif (folder / LOG).exists():
        (folder / LOG).unlink()

    recent: list[Progress] = []
    interrupted = False

    def interrupt(*_: object) -> None:
        # The iteration in hand is finished first, so that the checkpoint is a whole one.
        nonlocal interrupted
        interrupted = True

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        for progress in trainer.run():
            report(progress)
            recent.append(progress)
            if progress.iteration % LOG_EVERY == 0:
                _append_log(folder / LOG, recent, trainer.rate())
                recent.clear()
            last = progress.iteration == recipe.training.iterations
            if progress.iteration % sheet_every == 0 or last:
                _save_sheet(trainer, folder / f"sheet-{progress.iteration:06d}.png")
            if progress.iteration % checkpoint_every == 0 or last or interrupted:
                _save_checkpoint(trainer, checkpoint)
            if interrupted:
                raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, previous)
    ruleset = to_ruleset(trainer, vgg.name)
    ruleset.save(output)
    return ruleset


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


def to_ruleset(trainer: Trainer, features: str) -> RuleSet:
    """Return the trained network with its full provenance."""
    provenance = {
        "recipe": trainer.recipe.to_json(),
        "iterations": trainer.iteration,
        "guide": trainer.guide.name if trainer.guide else "none",
        "style_features": features,
        "light_scale": [trainer.style.dark, trainer.style.bright],
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "date": datetime.date.today().isoformat(),
    }
    return trainer.ruleset(provenance)


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
    finally:
        partial.unlink(missing_ok=True)


def _save_sheet(trainer: Trainer, path: Path) -> None:
    recipe = trainer.recipe
    sheet = sample_sheet(trainer.nca, trainer.rules, recipe.model.light, recipe.model.fire_rate)
    Image.fromarray(sheet).save(path)


def _append_log(path: Path, recent: list[Progress], rate: float) -> None:
    line: dict[str, object] = {
        "iteration": recent[-1].iteration,
        "rate": rate,
        "seconds": statistics.mean(p.seconds for p in recent),
        **{
            k: statistics.mean(p.losses[k] for p in recent)
            for k in recent[-1].losses
            if all(k in p.losses for p in recent)
        },
    }
    kinds = sorted({kind for p in recent for kind in p.kinds})
    line["kinds"] = {
        kind: statistics.mean(p.kinds[kind] for p in recent if kind in p.kinds) for kind in kinds
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _cut_log(path: Path, iteration: int) -> None:
    """Drop the lines of iterations after the checkpoint: they are about to be done again."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if _iteration_of(line) <= iteration]
    path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _iteration_of(line: str) -> float:
    """Return a log line's iteration; infinity for the half of a line that a kill left."""
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
