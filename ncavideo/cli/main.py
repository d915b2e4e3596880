"""The command line: all commands in one group, each imported when it is asked for."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from dataclasses import dataclass
from typing import Any

import click
from click.shell_completion import CompletionItem

from ncavideo.cli.common import EXIT_FAILED, fail, log_file_option, spoken_warnings
from ncavideo.util.nearest import did_you_mean
from ncavideo.version import __version__


@dataclass(frozen=True)
class Home:
    """Where a command is defined, and its line in the list of commands."""

    module: str
    name: str
    summary: str


# In the order of the help: the help of all takes a tenth of a second less without the modules.
COMMANDS = {
    "render": Home("render", "render_command", "Render a clip as living texture."),
    "preview": Home("preview", "preview_command", "Draw a few moments of a clip in seconds."),
    "batch": Home("batch", "batch_command", "Render many clips; resumes where it stopped."),
    "still": Home("still", "still_command", "Grow one picture: a texture, a fractal, a photo."),
    "looks": Home("looks", "looks_group", "Show the looks that --look takes by name."),
    "presets": Home("presets", "presets_group", "Show the rule sets that come with ncavideo."),
    "train": Home("train", "train_command", "Train a rule set of your own."),
    "export": Home("export", "export_command", "Write a rule set as an interactive web page."),
    "gallery": Home("gallery", "gallery_command", "Write web pages that run many rule sets."),
    "ui": Home("app", "ui_command", "Open the app in the browser."),
    "doctor": Home("machine", "doctor_command", "Check the installation."),
    "bench": Home("machine", "bench_command", "Measure the speed of this machine."),
}


# What other tools call an option, and what it is here.
OTHER_NAMES = {
    "--end": "--duration",
    "--seconds": "--duration",
    "--length": "--duration",
    "--time": "--duration",
    "--to": "--duration",
    "--ss": "--start",
    "--style": "--rules",
    "--strength": "--opacity",
    "--mix": "--opacity",
    "--resolution": "--cell",
    "--scale": "--cell",
    "--model": "--ruleset",
}


class Commands(click.Group):
    """The commands; none of them ends with a traceback because its report has nowhere to go."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, None for an unknown name."""
        home = COMMANDS.get(cmd_name)
        if home is None:
            return None
        if cmd_name not in self.commands:
            module = importlib.import_module(f"ncavideo.cli.{home.module}")
            command: click.Command = getattr(module, home.name)
            command.short_help = home.summary
            log_file_option(command)
            self.add_command(command)
        return self.commands[cmd_name]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names; another word is told the nearest one."""
        word = args[0]
        if word not in COMMANDS and not word.startswith("-") and not ctx.resilient_parsing:
            known = ", ".join(COMMANDS)
            ctx.fail(f"there is no command {word!r}{did_you_mean(word, COMMANDS)}; use {known}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, home.summary) for name, home in COMMANDS.items()])

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command, or answer a shell that completes one."""
        if "_NCAVIDEO_COMPLETE" in os.environ:
            import ncavideo.cli.bash_words  # noqa: F401 - it is known to click by being imported

        return super().main(*args, **extra)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin so, without importing the commands."""
        found = [
            CompletionItem(name, help=home.summary)
            for name, home in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, context: click.Context) -> Any:
        """Run a command; a stdout that cannot be written, as on a full disk, is one sentence."""
        try:
            return super().invoke(context)
        except click.NoSuchOption as error:
            name = OTHER_NAMES.get(error.option_name)
            known = error.ctx.command.params if error.ctx else ()
            if any(name in param.opts for param in known):
                said = f"No such option {error.option_name!r}. Did you mean {name!r}?"
                raise click.NoSuchOption(error.option_name, said, ctx=error.ctx) from error
            raise
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
    """Turn video into living texture with multi-rule neural cellular automata.

    \b
        ncavideo preview in.mp4 --rules fire,moss
        ncavideo render in.mp4 --look overgrown
        ncavideo ui
    """  # noqa: D301
    context.with_resource(spoken_warnings())
