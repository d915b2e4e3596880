"""`ncavideo preview`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ncavideo.cli.common import one_sentence_errors, report_options, say
from ncavideo.cli.render_options import (
    RenderCommand,
    asked_options,
    look_option,
    table_options,
)


@click.command("preview", cls=RenderCommand)
@click.argument("clip", type=click.Path(), metavar="CLIP|URL")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Output; by default CLIP.preview.png in this folder.",
)
@look_option
@click.option(
    "--moments", default=3, show_default=True, help="Number of frames, spread over the clip."
)
@report_options
@table_options(
    "look", "machine", also=("levels", "start", "duration", "fields", "fps", "overwrite")
)
def preview_command(
    clip: str, output: Path | None, moments: int, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Draw a contact sheet of a few moments of CLIP: source, controls, expression, result.

    \b
        ncavideo preview in.mp4 --rules fire,moss
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.rendering.local_inputs import input_name, local_inputs
        from ncavideo.rendering.preview import preview
        from ncavideo.video.numbered import clip_name

        target = output or Path(f"{clip_name(input_name(clip))}.preview.png")
        with local_inputs(clip, asked_options(options)) as (source, asked):
            notes = preview(source, target, asked, moments)
    if as_json:
        click.echo(json.dumps({"output": str(target), "notes": notes}))
    elif not quiet:
        say(str(target), err=True)
    if not quiet:
        for note in notes:
            say(f"note: {note}", err=True)
