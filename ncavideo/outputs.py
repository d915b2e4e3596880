"""Where an output may go."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ncavideo.errors import UserError


def check_output(output: Path, suffixes: Iterable[str], overwrite: bool) -> None:
    """Raise `UserError` unless a file of that name, ending in one of `suffixes`, can be made."""
    if output.suffix.lower() not in suffixes:
        raise UserError(f"{output} must end in {', '.join(suffixes)}")
    if not output.absolute().parent.is_dir():
        raise UserError(f"there is no folder {output.absolute().parent} to write {output.name} in")
    if output.is_dir():
        raise UserError(f"{output} is a folder")
    if output.exists() and not overwrite:
        raise UserError(f"{output} exists: name another output or give --overwrite")
