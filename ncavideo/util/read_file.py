"""Files that somebody names are looked at before they are read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ncavideo.util.errors import UserError


def check_file(path: Path, what: str, most_bytes: int | None = None) -> None:
    """Look at a file before it is opened; `what` names its part in the error.

    Raises `UserError` for a folder, for what would be waited for without an end, as a pipe, and
    for more than `most_bytes`; `OSError` if it is not there.
    """
    status = os.stat(path)  # noqa: PTH116 - whatever kind of path it is
    if stat.S_ISDIR(status.st_mode):
        raise UserError(f"{path} is a folder, not a {what}")
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"the {what} {path} is not a regular file: copy it to a file first")
    if most_bytes is not None and status.st_size > most_bytes:
        raise UserError(
            f"{path} is too large for a {what}: {status.st_size / 1e6:.1f} MB, where"
            f" {most_bytes / 1e6:g} MB are the most"
        )


def read_text(path: Path, what: str, most_bytes: int, encoding: str = "utf-8") -> str:
    """Return the text of a file. Raises what `check_file` does, and `UnicodeDecodeError`."""
    check_file(path, what, most_bytes)
    return path.read_text(encoding)


def may_hold_json(path: Path) -> bool:
    """Return whether writing JSON to a file destroys nothing else.

    True for one that is not there, is no regular file, is empty, or begins as JSON does. Raises
    `OSError` for one that cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return True
    except FileNotFoundError:
        return True
    with path.open("rb") as file:
        return file.read(1) in (b"", b"{")
