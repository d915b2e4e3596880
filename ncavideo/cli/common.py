"""Shared by all commands: errors in one sentence, exit codes, progress, reports."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType
from typing import Any, NoReturn, TypeVar

import click

from ncavideo.util.errors import OutputError, UserError, ran_out
from ncavideo.util.events import LOGGER, caught, crash, event, log_to, refused
from ncavideo.util.printable import printable
from ncavideo.version import __version__

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130
Command = TypeVar("Command", bound=Callable[..., Any])


def say(text: str, err: bool = False) -> None:
    """Print a text for people; control characters in it do not reach the terminal.

    A line of progress is cleared for it, and drawn again below.
    """
    if "tqdm" not in sys.modules:
        click.echo(printable(text), err=err)
        return
    from tqdm import tqdm

    with tqdm.external_write_mode(file=sys.stderr if err else sys.stdout):
        click.echo(printable(text), err=err)


def fail(message: str, code: int) -> NoReturn:
    """Say what went wrong in one line on stderr and in the log, and leave with `code`."""
    refused("failed", reason=message, exit_code=code)
    say(f"ncavideo: {' '.join(message.split())}", err=True)
    sys.exit(code)


@contextmanager
def one_interrupt() -> Iterator[None]:
    """Let the first Ctrl-C through and no other: cleaning up takes a moment and must not be cut."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or current_thread() is not main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        # After an interrupt it stays as it is: the interpreter has yet to clean up as well.
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, before)


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """Turn the library's errors into one sentence and the right exit code."""
    try:
        with one_interrupt():
            yield
    except UserError as error:
        fail(str(error), EXIT_USAGE)
    except OutputError as error:
        fail(str(error), EXIT_FAILED)
    except KeyboardInterrupt as error:
        fail(str(error) or "interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.exit(EXIT_FAILED)
    except Exception as error:
        if ran_out(error):
            caught("out-of-memory")
            fail("there is not enough memory: try a larger --cell or --device cpu", EXIT_FAILED)
        crash("crashed")
        from ncavideo.util.tested import blame

        known = blame(error)
        if known:
            fail(known, EXIT_FAILED)
        raise


class _Spoken(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if not hasattr(record, "facts"):
            say(f"ncavideo: {' '.join(record.getMessage().split())}", err=True)


@contextmanager
def spoken_warnings() -> Iterator[None]:
    """Say the package's warnings on stderr, a line each; its events are for the log alone.

    A library that sets up Python's logging, as open_clip does, would print those as well.
    """
    handler, before = _Spoken(logging.WARNING), LOGGER.propagate
    LOGGER.addHandler(handler)
    LOGGER.propagate = False
    try:
        yield
    finally:
        LOGGER.propagate = before
        LOGGER.removeHandler(handler)


def log_file_option(command: click.Command) -> None:
    """Give a command, and all commands of a group, the option `--log-file`."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            log_file_option(inner)
        return
    option = click.Option(
        ["--log-file"],
        type=click.Path(path_type=Path),
        expose_value=False,
        is_eager=True,
        callback=_log_to,
        envvar="NCAVIDEO_LOG_FILE",
        help="Append what happens to this file, a JSON object a line.",
    )
    command.params.append(option)


def _log_to(context: click.Context, option: click.Parameter, path: Path | None) -> None:
    if path is None or context.resilient_parsing:
        return
    with one_sentence_errors():
        log_to(path)
    arguments = _without_secrets(sys.argv[1:])
    event("command", command=context.command_path, arguments=arguments, version=__version__)


def _without_secrets(arguments: list[str]) -> list[str]:
    """Return the command line without the passwords in it."""
    from ncavideo.util.fetch import hidden

    shown = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if before == "--login" or argument.startswith("--login="):
            argument = "--login=..." if argument.startswith("--login=") else "..."
        shown.append(hidden(argument))
    return shown


def report_options(command: Command) -> Command:
    """Add the options for a command's output: --json and --quiet."""
    for option in (
        click.option("--quiet", is_flag=True, help="No progress and no report."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
    ):
        command = option(command)
    return command
