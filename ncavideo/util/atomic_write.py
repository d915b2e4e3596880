"""Where an output may go, and how it gets there whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ncavideo.util.errors import UserError


def check_output(output: Path, suffixes: Iterable[str], overwrite: bool) -> None:
    """Raise `UserError` unless a file of that name, ending in one of `suffixes`, can be made."""
    if output.suffix.lower() not in suffixes:
        raise UserError(f"{output} must end in {', '.join(suffixes)}")
    if not output.absolute().parent.is_dir():
        raise UserError(f"there is no folder {output.absolute().parent} to write {output.name} in")
    try:
        _partial(output).exists()
    except OSError as error:
        raise UserError(f"{output.name} cannot be a file: {error.strerror}") from error
    if output.is_dir():
        raise UserError(f"{output} is a folder")
    if output.exists() and not overwrite:
        raise UserError(f"{output} exists: name another output or give --overwrite")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a hidden name beside `path` to write to, with its suffix.

    It takes the place of `path` when the block ends, and is gone if that ends with an error: no
    output is ever half written under its own name.
    """
    partial = _partial(path)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def is_file(path: Path) -> bool:
    """Return whether there is a file of that name; nothing can be if it is no name at all."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.part{path.suffix}")
