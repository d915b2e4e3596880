"""`ncavideo render`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ncavideo.cli.common import (
    EXIT_FAILED,
    fail,
    one_sentence_errors,
    progress_bar,
    report_options,
    say,
)
from ncavideo.cli.render_options import (
    RenderCommand,
    asked_options,
    look_option,
    table_options,
)
from ncavideo.util.fetch import hidden


@click.command("render", cls=RenderCommand)
@click.argument("clip", type=click.Path(), metavar="CLIP|URL")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Output; by default CLIP.RULES.mp4 in this folder.",
)
@look_option
@click.option(
    "--save-look",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the options of the look to this file (.toml).",
)
@report_options
@table_options("look", "file", "machine", "run")
def render_command(
    clip: str,
    output: Path | None,
    save_look: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Render CLIP as living texture: its light and regions drive the rules."""
    with one_sentence_errors():
        from ncavideo.rendering import look_file
        from ncavideo.rendering.local_inputs import input_name, local_inputs
        from ncavideo.rendering.render import default_output, render

        asked = asked_options(options)
        target = output or default_output(input_name(clip), asked)
        if save_look is not None:
            look_file.save_look(save_look, asked, asked.overwrite)

        told: list[str] = []

        def warn(note: str) -> None:
            told.append(note)
            if not quiet:
                say(f"note: {note}", err=True)

        with (
            local_inputs(clip, asked, warn) as (source, local),
            progress_bar("render", "frame", quiet) as bar,
        ):
            report = render(source, target, local, lambda news: bar(news.done, news.frames), warn)
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
                    "resumed": report.resumed,
                    "seconds": report.seconds,
                    "stages": report.stages,
                    "notes": report.notes,
                    "models": list(report.models),
                    "lost": lost,
                }
            )
        )
    elif not quiet:
        fps = report.frames / max(report.seconds, 1e-9)
        say(f"{report.output}: {report.frames} frames, {fps:.1f} fps", err=True)
    if not quiet:
        for note in [note for note in report.notes if note not in told]:
            say(f"note: {note}", err=True)
    if report.loss is not None:
        fail(
            f"{hidden(clip)} is damaged: {report.loss.frames} frames ({report.loss.seconds:.2f} s)"
            f" could not be decoded and are missing from {report.output}",
            EXIT_FAILED,
        )
