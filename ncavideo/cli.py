"""The commands: parse, call the library, report. No work of their own."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from ncavideo.engines import ENGINES
from ncavideo.errors import OutputError, UserError
from ncavideo.version import __version__

if TYPE_CHECKING:
    from ncavideo.training.recipe import Recipe

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
Command = TypeVar("Command", bound=Callable[..., Any])


def fail(message: str, code: int) -> NoReturn:
    """Say what went wrong in one line on stderr and leave with `code`."""
    click.echo(f"ncavideo: {' '.join(message.split())}", err=True)
    sys.exit(code)


@contextmanager
def one_interrupt() -> Iterator[None]:
    """Let the first Ctrl-C through and no other: cleaning up takes a moment and must not be cut."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or current_thread() is not main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        # After an interrupt it stays as it is: the interpreter has yet to clean up as well.
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, before)


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """Turn the library's errors into one sentence and the right exit code."""
    try:
        with one_interrupt():
            yield
    except UserError as error:
        fail(str(error), EXIT_USAGE)
    except OutputError as error:
        fail(str(error), EXIT_FAILED)
    except MemoryError:
        fail("there is not enough memory: try a larger --cell", EXIT_FAILED)
    except KeyboardInterrupt:
        fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.exit(EXIT_FAILED)
    except RuntimeError as error:
        # torch reports memory that it cannot get as a RuntimeError, on every device.
        if "memory" in str(error).lower():
            fail("there is not enough memory: try a larger --cell or --device cpu", EXIT_FAILED)
        raise


def rules_option(text: str) -> tuple[str, ...]:
    """Split `fire,moss`."""
    return tuple(rule.strip() for rule in text.split(",") if rule.strip())


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ncavideo")
def main() -> None:
    """Turn video into living texture with multi-rule neural cellular automata."""


def grid_options(command: Command) -> Command:
    """Add the options that every command which runs a grid has."""
    for option in (
        click.option(
            "--ruleset",
            metavar="FILE|NAME|hf://USER/REPO",
            help="Which rule set the rules are in.",
        ),
        click.option("--seed", default=0, show_default=True, help="Another seed, another picture."),
        click.option(
            "--edge",
            type=click.Choice(["reflect", "wrap"]),
            default="reflect",
            show_default=True,
            help="What a cell at the edge sees beyond it.",
        ),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps."),
        click.option(
            "--engine", default="auto", show_default=True, help=f"auto, {', '.join(ENGINES)}."
        ),
        click.option("--overwrite", is_flag=True, help="Replace an existing output."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
        click.option("--quiet", is_flag=True, help="No progress and no report."),
    ):
        command = option(command)
    return command


@main.command("render")
@click.argument("clip", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="By default CLIP.RULES.mp4 here."
)
@click.option("--rules", required=True, metavar="A,B,...", help="From brightest to darkest.")
@click.option("--control", default="luminance", show_default=True, help="luminance or mask:PATH.")
@click.option(
    "--contrast",
    type=float,
    help="How steeply rules change over: 1 is a plain ramp.  [default: 6; masks: 1]",
)
@click.option(
    "--light",
    default=1.0,
    show_default=True,
    help="How strongly the source's light drives the texture's, 0 to 1.",
)
@click.option("--shade", default=0.5, show_default=True, help="Shading after the fact, 0 to 1.")
@click.option("--steps", default=8, show_default=True, help="Steps a frame.")
@click.option(
    "--cell", type=int, metavar="PX", help="Pixels a cell.  [default: for about 360 rows of cells]"
)
@click.option(
    "--warmup",
    default=240,
    show_default=True,
    metavar="STEPS",
    help="Steps before the first frame.",
)
@click.option("--start", type=float, metavar="SECONDS", help="Where in the clip to begin.")
@click.option("--duration", type=float, metavar="SECONDS", help="How much of the clip to render.")
@click.option("--codec", help="h264, h265, vp9, av1, prores, ffv1, or an encoder's own name.")
@click.option("--crf", type=float, help="The encoder's quality: lower is better.")
@click.option("--pix-fmt", help="The encoder's pixel format.")
@grid_options
def render_command(
    clip: Path, output: Path | None, rules: str, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Render CLIP as living texture: its light and regions drive the rules."""
    with one_sentence_errors():
        from ncavideo.options import RenderOptions
        from ncavideo.render import default_output, render

        asked = RenderOptions(rules=rules_option(rules), **options)
        target = output or default_output(clip, asked.rules)
        with progress_bar("render", "frame", quiet) as bar:
            report = render(clip, target, asked, lambda news: bar(news.done, news.frames))
    lost = None
    if report.loss is not None:
        lost = {"frames": report.loss.frames, "seconds": report.loss.seconds}
    if as_json:
        click.echo(
            json.dumps(
                {
                    "output": str(report.output),
                    "ruleset": report.ruleset,
                    "rules": list(report.rules),
                    "width": report.width,
                    "height": report.height,
                    "cells": list(report.cells),
                    "frames": report.frames,
                    "seconds": report.seconds,
                    "stages": report.stages,
                    "notes": report.notes,
                    "lost": lost,
                }
            )
        )
    elif not quiet:
        fps = report.frames / max(report.seconds, 1e-9)
        click.echo(f"{report.output}: {report.frames} frames, {fps:.1f} fps", err=True)
    if not quiet:
        for note in report.notes:
            click.echo(f"note: {note}", err=True)
    if report.loss is not None:
        fail(
            f"{clip} is damaged: {report.loss.frames} frames ({report.loss.seconds:.2f} s) could"
            f" not be decoded and are missing from {report.output}",
            EXIT_FAILED,
        )


@main.command("still")
@click.option(
    "--rules", required=True, metavar="A=W,B=W", help="Each rule's weight, as fire=0.7,moss=0.3."
)
@click.option(
    "--size",
    default="512x512",
    show_default=True,
    metavar="WxH",
    help="The picture's size in pixels.",
)
@click.option("--steps", default=600, show_default=True, help="How long it grows.")
@click.option("--light", default=0.6, show_default=True, help="From 0 (dark) to 1 (bright).")
@click.option("--cell", default=2, show_default=True, metavar="PX", help="Pixels a cell.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A .png file.")
@grid_options
def still_command(
    output: Path, as_json: bool, quiet: bool, overwrite: bool, **options: Any
) -> None:
    """Grow one picture of a rule, or of several mixed."""
    with one_sentence_errors():
        from ncavideo.still import StillOptions, parse_size, parse_weights, still

        weights = parse_weights(options.pop("rules"))
        size = parse_size(options.pop("size"))
        report = still(output, StillOptions(weights=weights, size=size, **options), overwrite)
    if as_json:
        click.echo(json.dumps(report))
    elif not quiet:
        click.echo(f"{output}: {size[0]}x{size[1]}", err=True)


@main.command("train")
@click.argument("recipe", type=click.Path(path_type=Path), required=False)
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="NAME[=PROMPT]",
    help="A rule, instead of a RECIPE. May be repeated; again for one more prompt.",
)
@click.option(
    "--style",
    "styles",
    multiple=True,
    metavar="[NAME=]PATH",
    help="A style picture, for one rule or for all. May be repeated.",
)
@click.option(
    "--negative", "negatives", multiple=True, metavar="NAME=PROMPT", help="What to stay away from."
)
@click.option("--guide", help="What judges prompts: open_clip, or none to leave them as labels.")
@click.option("--clip-model", metavar="NAME|JSON", help="The guide's model.  [default: ViT-B-32]")
@click.option("--clip-weights", metavar="TAG|FILE", help="The guide's weights.")
@click.option("--vgg", metavar="NAME|FILE", help="Where the style features' weights come from.")
@click.option("--metric", help="sliced-wasserstein, relaxed-transport or gram.")
@click.option("--size", type=int, metavar="CELLS", help="The side of the training grids.")
@click.option("--channels", type=int, metavar="C", help="Numbers a cell; 3 of them are its colour.")
@click.option("--hidden", type=int, metavar="N", help="The width of the cells' network.")
@click.option("--seed", type=int, help="Another seed, another run.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="By default RECIPE's name + .safetensors here.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="For log, samples, checkpoints.  [default: runs/NAME]",
)
@click.option("--iterations", type=int, help="Instead of the recipe's own number.")
@click.option(
    "--sheet-every", default=250, show_default=True, help="Iterations between sample sheets."
)
@click.option(
    "--log", "loggers", multiple=True, metavar="NAME", help="Log to wandb or tensorboard, too."
)
@click.option("--fresh", is_flag=True, help="Start over, even if there is a checkpoint.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("--quiet", is_flag=True, help="No progress.")
def train_command(
    recipe: Path | None,
    output: Path | None,
    folder: Path | None,
    iterations: int | None,
    sheet_every: int,
    loggers: tuple[str, ...],
    fresh: bool,
    device: str,
    overwrite: bool,
    quiet: bool,
    **options: Any,
) -> None:
    r"""Train a rule set, as RECIPE or --rule and --style say; goes on where it stopped.

    \b
    ncavideo train elements.toml
    ncavideo train --rule "fire=red flames" --rule "moss=mossy stones" \
        --style leaves.jpg -o my.safetensors
    """
    with one_sentence_errors():
        from ncavideo.training.recipe_file import load_recipe, with_iterations, with_loggers
        from ncavideo.training.run import train

        if recipe is not None:
            given = [name for name, value in options.items() if value not in (None, ())]
            if given:
                option = "--" + given[0].removesuffix("s").replace("_", "-")
                raise UserError(f"give either a RECIPE or {option}, not both: the recipe says it")
            parsed = load_recipe(recipe)
        else:
            parsed = recipe_of(options, output)
        if iterations is not None:
            parsed = with_iterations(parsed, iterations)
        parsed = with_loggers(parsed, loggers)
        if recipe is None and not quiet:
            click.echo(parsed.to_toml())
        target = output or Path(f"{parsed.name}.safetensors")
        if target.exists() and not overwrite:
            raise UserError(f"{target} exists: name another output or give --overwrite")
        if sheet_every < 1:
            raise UserError(f"--sheet-every must be at least 1, not {sheet_every}")
        where = folder or Path("runs") / parsed.name
        with progress_bar("train", "it", quiet) as bar:
            train(
                parsed,
                target,
                where,
                device=device,
                sheet_every=sheet_every,
                resume=not fresh,
                report=lambda news: bar(
                    news.iteration, parsed.iterations, f"loss {news.losses['total']:.3f}"
                ),
                note=lambda text: click.echo(f"ncavideo: {text}", err=True),
            )
    if not quiet:
        click.echo(f"{target}: samples and log are in {where}", err=True)


def recipe_of(options: dict[str, Any], output: Path | None) -> Recipe:
    """Make a recipe of `train`'s options."""
    from ncavideo.training.recipe_file import recipe_from_options

    if not options["rules"]:
        raise UserError(
            "there is nothing to train: name a RECIPE, or give --rule NAME=PROMPT and --style PATH"
        )
    if output is None:
        raise UserError("name the rule set to write: -o my.safetensors")
    seed = options["seed"]
    return recipe_from_options(
        output.stem,
        options["rules"],
        options["styles"],
        options["negatives"],
        {
            "model": {key: options[key] for key in ("channels", "hidden")},
            "training": {key: options[key] for key in ("size", "vgg")},
            "loss": {"metric": options["metric"]},
            "guide": {
                "kind": options["guide"],
                "model": options["clip_model"],
                "pretrained": options["clip_weights"],
            },
        },
        **({} if seed is None else {"seed": seed}),
    )


@main.group("presets")
def presets_group() -> None:
    """Show the rule sets that come with ncavideo."""


@presets_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def presets_list(as_json: bool) -> None:
    """List the presets and their rules."""
    with one_sentence_errors():
        from ncavideo.ruleset import RuleSet, presets

        sets = [RuleSet.load(path) for path in presets().values()]
    if as_json:
        click.echo(json.dumps({s.name: list(s.rule_names) for s in sets}))
        return
    for ruleset in sets:
        click.echo(f"{ruleset.name}: {', '.join(ruleset.rule_names)}")


@presets_group.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def presets_show(name: str, as_json: bool) -> None:
    """Show what the preset or rule set file NAME is and how it was trained."""
    with one_sentence_errors():
        from ncavideo.ruleset import open_ruleset

        ruleset = open_ruleset(name)
    facts: dict[str, Any] = {
        "name": ruleset.name,
        "rules": [vars(rule) for rule in ruleset.rules],
        "inputs": list(ruleset.inputs),
        "channels": ruleset.channels,
        "hidden": ruleset.hidden,
        "fire_rate": ruleset.fire_rate,
        "weights": int(ruleset.w1.size + ruleset.b1.size + ruleset.w2.size),
        "provenance": ruleset.provenance,
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(
        f"{ruleset.name}: {ruleset.channels} channels, {ruleset.hidden} hidden,"
        f" {facts['weights']:,} weights, inputs {', '.join(ruleset.inputs)}"
    )
    for rule in ruleset.rules:
        click.echo(f"  {rule.name}: {rule.prompt!r}, style {rule.style or 'none'} ({rule.credit})")
    origin = ruleset.provenance
    click.echo(
        f"trained {origin.get('date', 'at an unknown date')},"
        f" {origin.get('iterations', 'unknown')} iterations,"
        f" style features: {origin.get('style_features', 'unknown')},"
        f" text guide: {origin.get('guide', 'unknown')}"
    )


@presets_group.command("sheet")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A .png file.")
@click.option("--ruleset", metavar="FILE|NAME", help="Only this one.")
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
def presets_sheet(output: Path, ruleset: str | None, overwrite: bool) -> None:
    """Draw one labelled picture of all rules, from dark to bright."""
    with one_sentence_errors():
        from ncavideo.still import sheet

        sheet(output, ruleset, overwrite)
    click.echo(str(output), err=True)


@presets_group.command("push")
@click.argument("name")
@click.argument("repo", metavar="USER/REPO")
@click.option("--private", is_flag=True, help="Make a new repository a private one.")
def presets_push(name: str, repo: str, private: bool) -> None:
    """Send the preset or rule set file NAME to USER/REPO on the Hugging Face hub."""
    with one_sentence_errors():
        from ncavideo.hub import push
        from ncavideo.ruleset import open_ruleset

        address = push(open_ruleset(name), repo, private)
    click.echo(f"{address}: render with --ruleset hf://{repo}", err=True)


@main.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def doctor_command(as_json: bool) -> None:
    """Check what is installed here and what works."""
    with one_sentence_errors():
        from ncavideo.doctor import examine

        checks = examine()
    if as_json:
        click.echo(json.dumps([vars(check) for check in checks]))
    else:
        for check in checks:
            click.echo(f"{'ok ' if check.ok else 'NO '} {check.what}: {check.detail}")
    if not all(check.ok for check in checks if check.needed):
        sys.exit(EXIT_FAILED)


@main.command("bench")
@click.option("--ruleset", default="elements", show_default=True, metavar="FILE|NAME")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--engine", default="auto", show_default=True, help="The renders' engine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def bench_command(ruleset: str, device: str, engine: str, as_json: bool) -> None:
    """Measure this machine: every engine, every stage of a render, and frames a second by size.

    Takes a minute or two, and shows little if other programs run beside it.
    """
    with one_sentence_errors():
        from ncavideo.bench import measure

        report = measure(ruleset, device, engine, lambda line: click.echo(line, err=as_json))
    if as_json:
        click.echo(json.dumps(report))


@contextmanager
def progress_bar(what: str, unit: str, quiet: bool) -> Iterator[Callable[..., None]]:
    """Give a function `(done, total, note)` that moves a bar on stderr."""
    from tqdm import tqdm

    bar: tqdm[NoReturn] | None = None

    def move(done: int, total: int | None, note: str = "") -> None:
        nonlocal bar
        if bar is None:
            # Made when the first item is done: a rate that counts start-up and warm-up misleads.
            bar = tqdm(
                desc=what, unit=unit, total=total, initial=done, disable=quiet, leave=False,
                dynamic_ncols=True,
            )  # fmt: skip
        if total is not None and done > total:
            bar.total = done
        bar.set_postfix_str(note, refresh=False)
        bar.update(done - bar.n)

    try:
        yield move
    finally:
        if bar is not None:
            bar.close()


if __name__ == "__main__":
    main()
