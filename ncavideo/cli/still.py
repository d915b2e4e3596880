"""`ncavideo still`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ncavideo.cli.common import (
    grid_options,
    one_sentence_errors,
    progress_bar,
    rules_option,
    say,
)
from ncavideo.util.errors import UserError


@click.command("still")
@click.option(
    "--rules", required=True, metavar="A=W,B=W", help="Each rule's weight, as fire=0.7,moss=0.3."
)
@click.option("--size", metavar="WxH", help="In pixels.  [default: 512x512, or the picture's own]")
@click.option("--steps", default=600, show_default=True, help="How long it grows.")
@click.option("--light", type=float, help="From 0 (dark) to 1 (bright).  [default: 0.6]")
@click.option("--cell", type=int, metavar="PX", help="Pixels a cell.  [default: 2, of a fractal 1]")
@click.option(
    "--fractal", default=0, metavar="LEVELS", help="Enlarge the grid so often, and grow on."
)
@click.option("--scale", default=2.0, show_default=True, help="By how much, each time.")
@click.option("--level-steps", default=64, show_default=True, help="Steps after each time.")
@click.option(
    "--zoom", type=click.Path(path_type=Path), metavar="FILE", help="A clip into the picture, too."
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    metavar="PHOTO",
    help="Turn a picture into texture, as render does a frame.",
)
@click.option("--control", multiple=True, metavar="[RULE=]NAME[:...]", help="With --picture.")
@click.option("--shade", type=float, help="With --picture, as in render.  [default: 0.5]")
@click.option("--depth", type=click.Choice(["8", "16"]), help="Bits a channel.  [default: 8]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="A .png, .jpg, .webp, .tif or .exr file.",
)
@grid_options
def still_command(
    rules: str,
    size: str | None,
    picture: Path | None,
    control: tuple[str, ...],
    shade: float | None,
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
        from ncavideo.still.options import StillOptions, parse_size, parse_weights
        from ncavideo.still.still import still, still_of

        wanted = None if size is None else parse_size(size)
        bits = None if depth is None else int(depth)
        if picture is not None:
            asked = _of_picture(rules, control, shade, options)
            if zoom is not None:
                raise UserError("--zoom goes into a fractal, and a --picture makes none")
            report = still_of(picture, output, asked, overwrite, size=wanted, depth=bits)
        else:
            if control or shade is not None:
                raise UserError("--control and --shade need a --picture that drives the rules")
            values = {key: value for key, value in options.items() if value is not None}
            if options["fractal"]:
                values.setdefault("cell", 1)
            asked_still = StillOptions(
                weights=parse_weights(rules), size=wanted or (512, 512), **values
            )
            with progress_bar("still", "%", quiet or not options["fractal"]) as bar:
                report = still(
                    output,
                    asked_still,
                    overwrite,
                    depth=bits,
                    zoom=zoom,
                    news=lambda share: bar(int(100 * share), 100),
                )
    if as_json:
        click.echo(json.dumps(report))
    elif not quiet:
        say(f"{output}: {report['width']}x{report['height']}", err=True)


def _of_picture(
    rules: str, control: tuple[str, ...], shade: float | None, options: dict[str, Any]
) -> Any:
    """Return what a render of the picture is asked for."""
    from ncavideo.rendering.options import RenderOptions

    if options["fractal"]:
        raise UserError("give either --fractal or --picture, not both")
    if "=" in rules:
        raise UserError("the --picture says how much of each rule there is: --rules fire,moss")
    given = {
        "light": options["light"], "cell": options["cell"], "shade": shade,
        "warmup": options["steps"],
    }  # fmt: skip
    kept = ("ruleset", "seed", "edge", "device", "engine")
    return RenderOptions(
        rules=rules_option(rules),
        control=control,
        **{key: value for key, value in given.items() if value is not None},
        **{key: options[key] for key in kept},
    )
