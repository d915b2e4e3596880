"""`ncavideo train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ncavideo.cli.common import one_sentence_errors, progress_bar, say
from ncavideo.nca.catalog import SUFFIX
from ncavideo.util.atomic_write import check_output
from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    from ncavideo.training.recipe import Recipe

# Options that are not called as their parameter.
SPELLED = {
    "rules": "--rule", "styles": "--style", "negatives": "--negative", "start": "--from",
}  # fmt: skip


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
    "--negative", "negatives", multiple=True, metavar="NAME=PROMPT", help="What to stay away from."
)
@click.option(
    "--from", "start", metavar="FILE|NAME", help="Begin with the weights of this rule set."
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
