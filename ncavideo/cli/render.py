"""`ncavideo render`."""

from __future__ import annotations

import json
import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ncavideo.cli.common import (
    EXIT_FAILED,
    EXIT_USAGE,
    fail,
    one_sentence_errors,
    report_options,
    say,
)
from ncavideo.cli.progress import progress_bar
from ncavideo.cli.render_options import (
    RenderCommand,
    asked_options,
    look_option,
    table_options,
)
from ncavideo.video.pipes import STDIN, STDOUT, is_pipe, nothing_but_the_stream


@click.command("render", cls=RenderCommand)
@click.argument("clips", nargs=-1, required=True, type=click.Path(), metavar="CLIP|URL")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Output, - for standard output; by default CLIP.RULES.mp4 in this folder.",
)
@look_option
@click.option(
    "--save-look",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the options of the look to this file (.toml).",
)
@report_options
@table_options("look", "file", "pipe", "machine", "run")
def render_command(
    clips: tuple[str, ...],
    output: Path | None,
    save_look: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Render CLIP as living texture: its light and regions drive the rules.

    `-` as CLIP is standard input, and `-o -` standard output.

    \b
        ncavideo render in.mp4 --rules fire,moss
        ncavideo render in.mp4 --look overgrown -o out.mov
    """  # noqa: D301
    if len(clips) > 1:
        fail(_batch_instead(clips), EXIT_USAGE)
    (clip,) = clips
    piped = output is not None and is_pipe(output)
    with (
        one_sentence_errors(),
        nothing_but_the_stream() if piped else nullcontext(),
        progress_bar("render", "frame", quiet) as bar,
    ):
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

        with local_inputs(clip, asked, warn) as (source, local):
            report = render(source, target, local, lambda news: bar(news.done, news.frames), warn)
    where = STDOUT if piped else report.output
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
            ),
            err=piped,
        )
    elif not quiet:
        fps = report.frames / max(report.seconds, 1e-9)
        say(f"{where}: {report.frames} frames, {fps:.1f} fps", err=True)
    if not quiet:
        for note in [note for note in report.notes if note not in told]:
            say(f"note: {note}", err=True)
    if report.loss is not None:
        from ncavideo.util.fetch import hidden

        named = STDIN if is_pipe(Path(clip)) else hidden(clip)
        fail(
            f"{named} is damaged: {report.loss.frames} frames"
            f" ({report.loss.seconds:.2f} s) could not be decoded and are missing from {where}",
            EXIT_FAILED,
        )


def _batch_instead(clips: tuple[str, ...]) -> str:
    """Return the sentence with the batch that renders several clips as this command would one."""
    from ncavideo.cli.batch import batch_command

    context = click.get_current_context()
    known = {parameter.name for parameter in batch_command.params}
    words = ["ncavideo", "batch", *clips]
    output = context.params["output"]
    words += ["--out-dir", "." if output is None or is_pipe(output) else str(output.parent)]
    for parameter in context.command.params:
        name = str(parameter.name)
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not given or name not in known or not isinstance(parameter, click.Option):
            continue
        value = context.params[name]
        if isinstance(value, bool):
            words.append((parameter.opts if value else parameter.secondary_opts)[0])
        else:
            for one in value if isinstance(value, tuple) else (value,):
                words += [parameter.opts[0], str(one)]
    return f"render takes one clip, and batch takes several: {shlex.join(words)}"
