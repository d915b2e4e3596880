"""`ncavideo train`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ncavideo.cli.common import one_sentence_errors, say
from ncavideo.cli.headings import HeadedCommand, HeadedOption
from ncavideo.cli.progress import progress_bar
from ncavideo.cli.train_sweep import SweepOptions, sweep_options, train_sweep
from ncavideo.nca.catalog import SUFFIX
from ncavideo.training.loggers import LOGGERS
from ncavideo.training.loss_recipe import LossRecipe
from ncavideo.training.recipe import GuideRecipe, ModelRecipe, Recipe, TrainingRecipe
from ncavideo.training.recipe_fields import Key, keys
from ncavideo.util.atomic_write import check_output
from ncavideo.util.errors import UserError

Command = TypeVar("Command", bound=Callable[..., Any])
# A recipe's tables whose keys may have an option, in the order of the help.
TABLES = {
    "": Recipe, "guide": GuideRecipe, "training": TrainingRecipe, "loss": LossRecipe,
    "model": ModelRecipe,
}  # fmt: skip
HEADINGS = {
    "": "Training", "guide": "Guide by words", "training": "Training",
    "loss": "Training", "model": "Model",
}  # fmt: skip
# Those options by the names of their parameters, with the table of each.
KEYS = {
    f"{section}_{key.name}".lstrip("_"): (section, key)
    for section, table in TABLES.items()
    for key in keys(table).values()
    if key.flag
}
# Options that stand for a recipe by themselves.
FLAGS = {"rules": "--rule", "styles": "--style", "negatives": "--negative"} | {
    name: key.flag for name, (_, key) in KEYS.items()
}


def recipe_options(command: Command) -> Command:
    """Add an option for every key of a recipe that has one."""
    for name, (section, key) in reversed(KEYS.items()):
        default = key.default_text
        if section == "guide" and key.name == "kind":
            default = "open_clip if any rule has a prompt"
        command = click.option(
            key.flag,
            name,
            type=type(key.default) if isinstance(key.default, (int, float)) else str,
            metavar=key.metavar,
            help=_help(key),
            show_default=default or False,
            cls=HeadedOption,
            heading=HEADINGS[section],
        )(command)
    return command


def _place(option: str) -> str:
    """Return where a recipe says what an option does."""
    if option not in KEYS:
        return "[[rule]]"
    section, key = KEYS[option]
    return f"`{key.name}` in [{section}]" if section else f"`{key.name}`"


def _help(key: Key) -> str:
    text = key.meaning or key.help
    notes = key.allowed_text if key.bounds or key.choices else ""
    return text[0].upper() + text[1:] + (f" ({notes})." if notes else ".")


@click.command("train", cls=HeadedCommand)
@click.argument("recipe", type=click.Path(path_type=Path), required=False)
@click.option(
    "--rule",
    "rules",
    cls=HeadedOption,
    heading="Rules, instead of a recipe",
    multiple=True,
    metavar="NAME[=PROMPT]",
    help="A rule, instead of a RECIPE. May be repeated; again for one more prompt.",
)
@click.option(
    "--style",
    "styles",
    cls=HeadedOption,
    heading="Rules, instead of a recipe",
    multiple=True,
    metavar="[NAME=]PATH",
    help="A style picture, for one rule or for all. May be repeated.",
)
@click.option(
    "--negative",
    "negatives",
    cls=HeadedOption,
    heading="Rules, instead of a recipe",
    multiple=True,
    metavar="NAME=PROMPT",
    help="A prompt to stay away from.",
)
@recipe_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Rule set to write; by default RECIPE's name + .safetensors in this folder.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    show_default="runs/NAME, for a sweep sweeps/NAME",
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
@click.option(
    "--gpus",
    type=int,
    metavar="N",
    default=1,
    show_default=True,
    help="Processes that share each batch, one a GPU; with --device cpu, on the processor.",
)
@sweep_options
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
    gpus: int,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train a rule set from a RECIPE, or from --rule and --style; resumes from its checkpoint.

    \b
        ncavideo train elements.toml
        ncavideo train --rule "fire=red flames" --rule "moss=mossy stones" \\
            --style leaves.jpg -o my.safetensors
        ncavideo train --sweep rates.toml --jobs 2
    """  # noqa: D301
    with one_sentence_errors(), progress_bar("train", "it", quiet) as bar:
        from ncavideo.training.recipe_file import load_recipe, with_iterations, with_loggers
        from ncavideo.training.several import train_on_several

        of_sweep = SweepOptions.taken(options)

        def changed(parsed: Recipe) -> Recipe:
            if iterations is not None:
                parsed = with_iterations(parsed, iterations)
            return with_loggers(parsed, loggers)

        if sheet_every < 1:
            raise UserError(f"--sheet-every must be at least 1, not {sheet_every}")
        if of_sweep.sweep is not None:
            _no_single_run(recipe, output, overwrite, gpus, options)
            train_sweep(
                of_sweep, folder, changed, bar, device=device, sheet_every=sheet_every,
                fresh=fresh, iterations=iterations, as_json=as_json, quiet=quiet,
            )  # fmt: skip
            return
        if recipe is not None:
            given = [name for name, value in options.items() if value not in (None, ())]
            if given:
                raise UserError(
                    f"give either a RECIPE or {FLAGS[given[0]]}, not both: the recipe says it"
                    f" under {_place(given[0])}"
                )
            parsed = load_recipe(recipe)
        else:
            parsed = recipe_of(options, output)
        parsed = changed(parsed)
        if recipe is None and not quiet and not as_json:
            _open_styles(parsed)  # or its sentence would follow a page of what will not be
            say(parsed.to_toml())
        target = output or Path(f"{parsed.name}.safetensors")
        check_output(target, (SUFFIX,), overwrite)
        where = folder or Path("runs") / parsed.name
        ruleset = train_on_several(
            parsed,
            target,
            where,
            processes=gpus,
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


def _open_styles(recipe: Recipe) -> None:
    """Raise `UserError` for a style picture that cannot be read."""
    from ncavideo.util.read_image import open_picture

    for rule in recipe.rules:
        for picture in rule.style:
            with open_picture(recipe.folder / picture.path, "style picture"):
                pass


def _no_single_run(
    recipe: Path | None, output: Path | None, overwrite: bool, gpus: int, options: dict[str, Any]
) -> None:
    """Raise `UserError` for what says something about one run, which a sweep says for many."""
    if recipe is not None:
        raise UserError(
            "give either a RECIPE or --sweep, not both: the sweep's file names its base recipe"
        )
    if output is not None:
        raise UserError(
            "-o is for one run: each run of a sweep writes its rule set into its own folder, in"
            " --folder"
        )
    if overwrite:
        raise UserError("--overwrite is for one run: --fresh trains a sweep's runs again")
    if gpus != 1:
        raise UserError(
            "--gpus is for one run: a sweep trains as many runs at once as there are GPUs (--jobs)"
        )
    given = [name for name, value in options.items() if value not in (None, ())]
    if given:
        raise UserError(
            f"{FLAGS[given[0]]} is not for a sweep: its base recipe, or [vary], says it"
        )


def recipe_of(options: dict[str, Any], output: Path | None) -> Recipe:
    """Make a recipe of `train`'s options."""
    from ncavideo.training.recipe_file import recipe_from_options

    if not options["rules"]:
        raise UserError(
            "there is nothing to train: name a RECIPE, or give --rule NAME=PROMPT and --style PATH"
        )
    if output is None:
        raise UserError("name the rule set to write: -o my.safetensors")
    sections: dict[str, dict[str, Any]] = {section: {} for section in TABLES}
    for name, (section, key) in KEYS.items():
        sections[section][key.name] = options[name]
    top = {key: value for key, value in sections.pop("").items() if value is not None}
    return recipe_from_options(
        output.stem, options["rules"], options["styles"], options["negatives"], sections, **top
    )
