"""`ncavideo preview`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ncavideo.cli.common import grid_options, one_sentence_errors, say
from ncavideo.cli.look_options import asked_options, look_options


@click.command("preview")
@click.argument("clip", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="By default CLIP.preview.png here."
)
@look_options
@click.option("--start", type=float, metavar="SECONDS", help="Where in the clip to begin.")
@click.option("--duration", type=float, metavar="SECONDS", help="How much of the clip to look at.")
@click.option("--moments", default=3, show_default=True, help="How many, spread over the clip.")
@grid_options
def preview_command(
    clip: Path, output: Path | None, moments: int, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Draw a contact sheet of a few moments of CLIP: source, controls, expression, result."""
    with one_sentence_errors():
        from ncavideo.rendering.preview import preview

        target = output or Path(f"{clip.stem}.preview.png")
        notes = preview(clip, target, asked_options(options), moments)
    if as_json:
        click.echo(json.dumps({"output": str(target), "notes": notes}))
    elif not quiet:
        say(str(target), err=True)
    if not quiet:
        for note in notes:
            say(f"note: {note}", err=True)
