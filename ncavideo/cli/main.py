"""The command line: all commands in one group."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import click

from ncavideo.cli.app import ui_command
from ncavideo.cli.batch import batch_command
from ncavideo.cli.common import EXIT_FAILED, fail, log_file_option, spoken_warnings
from ncavideo.cli.export import export_command
from ncavideo.cli.gallery import gallery_command
from ncavideo.cli.machine import bench_command, doctor_command
from ncavideo.cli.presets import presets_group
from ncavideo.cli.preview import preview_command
from ncavideo.cli.render import render_command
from ncavideo.cli.still import still_command
from ncavideo.cli.train import train_command
from ncavideo.version import __version__


class Commands(click.Group):
    """The commands; none of them ends with a traceback because its report has nowhere to go."""

    def invoke(self, context: click.Context) -> Any:
        """Run a command; a stdout that cannot be written, as on a full disk, is one sentence."""
        try:
            return super().invoke(context)
        except OSError as error:
            # A file has a name; a closed pipe is click's to deal with.
            if error.filename is not None or error.errno == errno.EPIPE:
                raise
            # The rest of the stream's buffer would fail once more when the interpreter ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ else 1)
            os.close(nowhere)
            fail(f"the report cannot be written to stdout: {error.strerror or error}", EXIT_FAILED)


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="ncavideo")
@click.pass_context
def main(context: click.Context) -> None:
    """Turn video into living texture with multi-rule neural cellular automata."""
    context.with_resource(spoken_warnings())


for command in (
    render_command,
    batch_command,
    preview_command,
    still_command,
    train_command,
    presets_group,
    export_command,
    gallery_command,
    ui_command,
    doctor_command,
    bench_command,
):
    log_file_option(command)
    main.add_command(command)
