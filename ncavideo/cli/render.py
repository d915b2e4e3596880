"""`ncavideo render`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ncavideo.cli.common import (
    EXIT_FAILED,
    fail,
    grid_options,
    one_sentence_errors,
    progress_bar,
    say,
)
from ncavideo.cli.look_options import asked_options, look_options


@click.command("render")
@click.argument("clip", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="By default CLIP.RULES.mp4 here."
)
@look_options
@click.option("--start", type=float, metavar="SECONDS", help="Where in the clip to begin.")
@click.option("--duration", type=float, metavar="SECONDS", help="How much of the clip to render.")
@click.option(
    "--before", type=float, metavar="SECONDS", help="Hold the first frame, while the grid lives."
)
@click.option("--after", type=float, metavar="SECONDS", help="Hold the last frame.")
@click.option(
    "--loop",
    type=float,
    metavar="SECONDS",
    help="Let the end become the beginning in so many seconds, which the clip gets shorter by.",
)
@click.option("--show-control", is_flag=True, help="Show what drives the rules, in false colours.")
@click.option("--codec", help="h264, h265, vp9, av1, prores, ffv1, or an encoder's own name.")
@click.option("--crf", type=float, help="The encoder's quality: lower is better.")
@click.option("--pix-fmt", help="The encoder's pixel format.")
@click.option(
    "--save-look", type=click.Path(path_type=Path), metavar="FILE", help="Write the look, too."
)
@click.option("--fresh", is_flag=True, help="Start over, even if a render was cut short.")
@grid_options
def render_command(
    clip: Path,
    output: Path | None,
    save_look: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Render CLIP as living texture: its light and regions drive the rules."""
    with one_sentence_errors():
        from ncavideo.rendering import look_file
        from ncavideo.rendering.render import default_output, render

        asked = asked_options(options)
        target = output or default_output(clip, asked)
        if save_look is not None:
            look_file.save_look(save_look, asked, asked.overwrite)

        def warn(note: str) -> None:
            if not quiet:
                say(f"note: {note}", err=True)

        with progress_bar("render", "frame", quiet) as bar:
            report = render(clip, target, asked, lambda news: bar(news.done, news.frames), warn)
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
        for note in report.notes:
            say(f"note: {note}", err=True)
    if report.loss is not None:
        fail(
            f"{clip} is damaged: {report.loss.frames} frames ({report.loss.seconds:.2f} s) could"
            f" not be decoded and are missing from {report.output}",
            EXIT_FAILED,
        )
