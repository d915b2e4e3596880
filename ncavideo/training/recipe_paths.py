"""Paths in a recipe, as they may be told to others."""

from __future__ import annotations

import os
from pathlib import Path


def named(path: str) -> str:
    """Return the name of an absolute path alone, since its folders are private."""
    return Path(path).name if Path(path).is_absolute() else path


def relative(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder; as it is where there is no such way (other drives)."""
    try:
        return Path(os.path.relpath(path.absolute(), folder)).as_posix()
    except ValueError:
        return str(path.absolute())
