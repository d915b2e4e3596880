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
from ncavideo.rendering.command_line import PREVIEW_ALSO, PREVIEW_BELONGS


@click.command("preview", cls=RenderCommand)
@click.argument("clip", type=click.Path(), metavar="CLIP|URL")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Output; by default CLIP.preview.png in this folder, or CLIP.SECONDSs.png with --at.",
)
@look_option
@click.option(
    "--moments", type=int, show_default="3", help="Number of frames, spread over the clip."
)
@click.option(
    "--at",
    type=float,
    metavar="SECONDS",
    help="Write the finished frame at this moment, at the clip's size, instead of the sheet.",
)
@report_options
@table_options(*PREVIEW_BELONGS, also=PREVIEW_ALSO)
def preview_command(
    clip: str,
    output: Path | None,
    moments: int | None,
    at: float | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Draw a contact sheet of a few moments of CLIP: source, controls, expression, result.

    \b
        ncavideo preview in.mp4 --rules fire,moss
        ncavideo preview in.mp4 --rules fire,moss --at 1.5
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.rendering.local_inputs import input_name, local_inputs
        from ncavideo.rendering.preview import MOMENTS, finished_frame, frame_output, preview
        from ncavideo.util.errors import UserError
        from ncavideo.video.numbered import clip_name

        if at is not None and moments is not None:
            raise UserError("give either --at or --moments")
        name = clip_name(input_name(clip))
        by_default = f"{name}.preview.png" if at is None else frame_output(name, at)
        target = output or Path(by_default)
        with local_inputs(clip, asked_options(options)) as (source, asked):
            if at is None:
                notes = preview(source, target, asked, MOMENTS if moments is None else moments)
            else:
                notes = finished_frame(source, target, asked, at)
    if as_json:
        click.echo(json.dumps({"output": str(target), "notes": notes}))
    elif not quiet:
        say(str(target), err=True)
    if not quiet:
        for note in notes:
            say(f"note: {note}", err=True)
