"""`ncavideo still`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ncavideo.commands.common import grid_options, one_sentence_errors


@click.command("still")
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
