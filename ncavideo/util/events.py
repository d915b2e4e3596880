"""Structured events: named, with plain data, through Python's own logging.

A program that uses this package gets them from the logger `ncavideo`: a record's message is the
event's name, its attribute `facts` the data. `log_to` writes them into a file, one JSON object a
line: `time` (UTC), `level`, `event`, `process`, and the facts.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ncavideo.util.errors import UserError
from ncavideo.util.read_file import may_hold_json

LOGGER = logging.getLogger("ncavideo")
LOGGER.addHandler(logging.NullHandler())


def event(name: str, level: int = logging.INFO, /, **facts: Any) -> None:
    """Tell that something happened, as `render.done`, with plain data."""
    LOGGER.log(level, name, extra={"facts": facts})


def crash(name: str, /, **facts: Any) -> None:
    """Tell of the exception that is being handled, with its traceback."""
    LOGGER.exception(name, extra={"facts": facts})


def caught(name: str, /, **facts: Any) -> None:
    """Tell of the exception that is being handled, with its traceback, where work goes on."""
    LOGGER.info(name, exc_info=True, extra={"facts": facts})


def refused(name: str, /, **facts: Any) -> None:
    """Tell of an error that ends the work, with a traceback where another one lies behind it.

    A sentence for the user may stand for any fault of a library, or of this package.
    """
    error = sys.exception()
    behind = isinstance(error, Exception) and error.__cause__ is not None
    LOGGER.error(name, exc_info=behind, extra={"facts": facts})


def log_to(path: Path) -> None:
    """Append all further events of this process to `path`.

    Raises `UserError` if it cannot be written, or is something else than a log, such as a clip.
    """
    try:
        if not may_hold_json(path):
            raise UserError(f"{path} is no log: name another file for --log-file")
        handler = _File(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UserError(f"the log {path} cannot be written: {error.strerror}") from error
    handler.setFormatter(JsonLines())
    handler.setLevel(logging.INFO)
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)


def tell(say: Callable[..., None]) -> None:
    """Have `say` called for all further events, with `name`, `level` and `facts`."""
    LOGGER.addHandler(_Teller(say))
    LOGGER.setLevel(logging.INFO)


def phase(name: str) -> None:
    """Tell that work has come to a phase that may take a while, as `warm-up`.

    For whoever is `listening` now: it is of no interest in a log.
    """
    event("phase", logging.DEBUG, name=name)


@contextmanager
def listening(name: str, hear: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Have `hear` called, with the facts, for all events of that name during the block."""
    handler, before = _Listener(name, hear), LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        LOGGER.setLevel(before)
        LOGGER.removeHandler(handler)


class _Listener(logging.Handler):
    def __init__(self, name: str, hear: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._event, self._hear = name, hear

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == self._event and hasattr(record, "facts"):
            self._hear(dict(record.facts))


class _File(logging.FileHandler):
    """A log that cannot be written any more, as on a full disk, is reported once."""

    _lost = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if not self._lost:
            self._lost = True
            LOGGER.warning("the log %s cannot be written: %s", self.baseFilename, sys.exc_info()[1])

    def close(self) -> None:
        # What is left in the file's buffer is written now, or never.
        with suppress(OSError):
            super().close()


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        when = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "process": record.process,
            **_facts(record),
        }
        return json.dumps(line, default=str)


class _Teller(logging.Handler):
    def __init__(self, say: Callable[..., None]) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        facts = json.loads(json.dumps(_facts(record), default=str))
        self._say(name=record.getMessage(), level=record.levelno, facts=facts)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts = dict(getattr(record, "facts", {}))
    if record.exc_info:
        facts["traceback"] = logging.Formatter().formatException(record.exc_info)
    return facts
