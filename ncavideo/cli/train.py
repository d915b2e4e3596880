"""`ncavideo train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ncavideo.cli.common import one_sentence_errors, progress_bar, say
from ncavideo.nca.catalog import SUFFIX
from ncavideo.training.loggers import LOGGERS
from ncavideo.training.recipe import (
    WORDS,
    GuideRecipe,
    LossRecipe,
    ModelRecipe,
    TrainingRecipe,
)
from ncavideo.util.atomic_write import check_output
from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    from ncavideo.training.recipe import Recipe

# Options that are not called as their parameter.
SPELLED = {
    "rules": "--rule", "styles": "--style", "negatives": "--negative", "start": "--from",
}  # fmt: skip


def choices(table: type[GuideRecipe] | type[LossRecipe], key: str) -> str:
    """Return what a recipe's key may be, for a help text."""
    return ", ".join(table.__dataclass_fields__[key].metadata[WORDS])


@click.command("train")
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
    "--negative",
    "negatives",
    multiple=True,
    metavar="NAME=PROMPT",
    help="A prompt to stay away from.",
)
@click.option(
    "--from", "start", metavar="FILE|NAME", help="Rule set whose weights the run begins with."
)
@click.option(
    "--guide",
    metavar="KIND",
    show_default="open_clip if any rule has a prompt",
    help=f"Model that scores prompts: {choices(GuideRecipe, 'kind')}; none keeps them as labels.",
)
@click.option(
    "--clip-model",
    metavar="NAME|JSON",
    show_default=GuideRecipe.model,
    help="Architecture of the guide.",
)
@click.option(
    "--clip-weights",
    metavar="TAG|FILE",
    show_default=GuideRecipe.pretrained,
    help="Weights of the guide.",
)
@click.option(
    "--vgg",
    metavar="NAME|FILE",
    show_default=TrainingRecipe.vgg,
    help="Weights of VGG16, whose features the style loss compares.",
)
@click.option(
    "--metric",
    metavar="NAME",
    show_default=LossRecipe.metric,
    help=f"Style loss: {choices(LossRecipe, 'metric')}.",
)
@click.option(
    "--size",
    type=int,
    metavar="CELLS",
    show_default=str(TrainingRecipe.size),
    help="Side of the training grids in cells.",
)
@click.option(
    "--channels",
    type=int,
    metavar="C",
    show_default=str(ModelRecipe.channels),
    help="Channels of a cell; the first three are its colour.",
)
@click.option(
    "--hidden",
    type=int,
    metavar="N",
    show_default=str(ModelRecipe.hidden),
    help="Hidden units of the update network.",
)
@click.option("--seed", type=int, help="Random seed of the run.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Rule set to write; by default RECIPE's name + .safetensors in this folder.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    show_default="runs/NAME",
    help="Folder for the log, samples and checkpoints.",
)
@click.option("--iterations", type=int, help="Number of iterations, instead of the recipe's.")
@click.option(
    "--sheet-every", default=250, show_default=True, help="Iterations between sample sheets."
)
@click.option(
    "--log",
    "loggers",
    multiple=True,
    metavar="NAME",
    help=f"Logger besides the folder: {', '.join(LOGGERS)}.",
)
@click.option("--fresh", is_flag=True, help="Start over instead of resuming from a checkpoint.")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Device to train on: auto, cpu, cuda (a GPU) or mps.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
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
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train a rule set, as RECIPE or --rule and --style say; goes on where it stopped.

    \b
        ncavideo train elements.toml
        ncavideo train --rule "fire=red flames" --rule "moss=mossy stones" \\
            --style leaves.jpg -o my.safetensors
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.training.recipe_file import load_recipe, with_iterations, with_loggers
        from ncavideo.training.run import train

        if recipe is not None:
            given = [name for name, value in options.items() if value not in (None, ())]
            if given:
                option = SPELLED.get(given[0], "--" + given[0].replace("_", "-"))
                raise UserError(f"give either a RECIPE or {option}, not both: the recipe says it")
            parsed = load_recipe(recipe)
        else:
            parsed = recipe_of(options, output)
        if iterations is not None:
            parsed = with_iterations(parsed, iterations)
        parsed = with_loggers(parsed, loggers)
        if recipe is None and not quiet and not as_json:
            say(parsed.to_toml())
        target = output or Path(f"{parsed.name}.safetensors")
        check_output(target, (SUFFIX,), overwrite)
        if sheet_every < 1:
            raise UserError(f"--sheet-every must be at least 1, not {sheet_every}")
        where = folder or Path("runs") / parsed.name
        with progress_bar("train", "it", quiet) as bar:
            ruleset = train(
                parsed,
                target,
                where,
                device=device,
                sheet_every=sheet_every,
                resume=not fresh,
                overwrite=overwrite,
                report=lambda news: bar(
                    news.iteration, parsed.iterations, f"loss {news.losses['total']:.3f}"
                ),
                note=lambda text: say(f"ncavideo: {text}", err=True),
            )
    if as_json:
        facts = {
            "output": str(target), "folder": str(where), "ruleset": ruleset.name,
            "rules": list(ruleset.rule_names), "provenance": ruleset.provenance,
        }  # fmt: skip
        click.echo(json.dumps(facts))
    elif not quiet:
        say(f"{target}: samples and log are in {where}", err=True)


def recipe_of(options: dict[str, Any], output: Path | None) -> Recipe:
    """Make a recipe of `train`'s options."""
    from ncavideo.training.recipe_file import recipe_from_options

    if not options["rules"]:
        raise UserError(
            "there is nothing to train: name a RECIPE, or give --rule NAME=PROMPT and --style PATH"
        )
    if output is None:
        raise UserError("name the rule set to write: -o my.safetensors")
    top = {key: options[key] for key in ("seed", "start") if options[key] is not None}
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
        **top,
    )
