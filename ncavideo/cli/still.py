"""`ncavideo still`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ncavideo.cli.common import one_sentence_errors, report_options, say
from ncavideo.cli.complete import from_function, weights
from ncavideo.cli.progress import progress_bar
from ncavideo.cli.render_options import RenderCommand, table_options
from ncavideo.still.options import StillOptions
from ncavideo.util.errors import UserError

SIZE = "x".join(map(str, StillOptions.size))


@click.command("still", cls=RenderCommand)
@click.option(
    "--rules",
    required=True,
    metavar="A=W,B=W",
    shell_complete=from_function(weights),
    help="Rules and their weights: fire=0.7,moss=0.3.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Output: a .png, .jpg, .webp, .tif or .exr file.",
)
@click.option(
    "--size",
    metavar="WxH",
    show_default=f"{SIZE}, or the picture's own",
    help="Width and height in pixels.",
)
@table_options("look", options=StillOptions)
@click.option(
    "--zoom",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a clip that zooms into the picture, too; a fractal has something to find there.",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    metavar="PHOTO",
    help="Turn a picture into texture, as render does with a frame.",
)
@click.option("--depth", type=click.Choice(["8", "16"]), show_default="8", help="Bits per channel.")
@report_options
@table_options(
    "machine", also=("ruleset", "control", "shade", "detail", "seed", "edge", "overwrite")
)
def still_command(
    rules: str,
    size: str | None,
    picture: Path | None,
    control: tuple[str, ...],
    shade: float | None,
    detail: float | None,
    output: Path,
    depth: str | None,
    zoom: Path | None,
    as_json: bool,
    quiet: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Grow one picture: of a rule, of several mixed, a fractal, or of a photograph.

    \b
        ncavideo still --rules magma --fractal 3 --scale 3 --size 3840x2160 -o magma.png
        ncavideo still --rules fire,moss --picture portrait.jpg -o portrait.png
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.still.options import parse_size, parse_weights
        from ncavideo.still.still import still, still_of

        wanted = None if size is None else parse_size(size)
        bits = None if depth is None else int(depth)
        if picture is not None:
            asked = _of_picture(rules, control, {"shade": shade, "detail": detail}, options)
            if zoom is not None:
                raise UserError("--zoom goes into a fractal, and a --picture makes none")
            report = still_of(picture, output, asked, overwrite, size=wanted, depth=bits)
        else:
            if control or shade is not None or detail is not None:
                raise UserError(
                    "--control, --shade and --detail need a --picture that drives the rules"
                )
            values = {key: value for key, value in options.items() if value is not None}
            if wanted is not None:
                values["size"] = wanted
            asked_still = StillOptions(weights=parse_weights(rules), **values)
            unit = "%" if asked_still.fractal else "step"
            with progress_bar("still", unit, quiet) as bar:
                report = still(
                    output,
                    asked_still,
                    overwrite,
                    depth=bits,
                    zoom=zoom,
                    news=bar,
                )
    if as_json:
        click.echo(json.dumps(report))
    elif not quiet:
        say(f"{output}: {report['width']}x{report['height']}", err=True)


def _of_picture(
    rules: str,
    control: tuple[str, ...],
    shading: dict[str, float | None],
    options: dict[str, Any],
) -> Any:
    """Return the options for a render of the picture."""
    from ncavideo.rendering.options import RenderOptions

    if options["fractal"]:
        raise UserError("give either --fractal or --picture, not both")
    if "=" in rules:
        raise UserError("the --picture says how much of each rule there is: --rules fire,moss")
    given = {
        "light": options["light"], "cell": options["cell"], **shading,
        "warmup": StillOptions.steps if options["steps"] is None else options["steps"],
        **{name: options[name] for name in ("ruleset", "seed", "edge", "device", "engine")},
    }  # fmt: skip
    return RenderOptions(
        rules=tuple(rule.strip() for rule in rules.split(",") if rule.strip()),
        control=control,
        **{key: value for key, value in given.items() if value is not None},
    )
