"""The command line: all commands in one group."""

from __future__ import annotations

import click

from ncavideo.commands.batch import batch_command
from ncavideo.commands.common import log_file_option, spoken_warnings
from ncavideo.commands.export import export_command
from ncavideo.commands.gallery import gallery_command
from ncavideo.commands.machine import bench_command, doctor_command
from ncavideo.commands.presets import presets_group
from ncavideo.commands.preview import preview_command
from ncavideo.commands.render import render_command
from ncavideo.commands.still import still_command
from ncavideo.commands.train import train_command
from ncavideo.commands.ui import ui_command
from ncavideo.version import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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


if __name__ == "__main__":
    main()
