"""Errors about a local copy name what it is a copy of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ncavideo.util.errors import OutputError, UserError
from ncavideo.util.fetch import hidden


@contextmanager
def called(names: Mapping[Path, str]) -> Iterator[None]:
    """Put the users' names, without passwords, for the paths in the errors of a block."""
    try:
        yield
    except (UserError, OutputError) as error:
        text = str(error)
        for path, name in names.items():
            text = text.replace(str(path), hidden(name))
        if text == str(error):
            raise
        raise type(error)(text) from error
