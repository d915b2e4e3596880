"""The looks that come with the package, by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ncavideo.util.errors import UserError
from ncavideo.util.nearest import did_you_mean

SUFFIX, PICTURE = ".toml", ".jpg"


@dataclass(frozen=True)
class ShippedLook:
    """A look of the package: its name, its file, and what it is in one line.

    `picture`: a small JPEG of a moment in it, None if there is none.
    """

    name: str
    path: Path
    summary: str
    picture: Path | None


def look_folder() -> Path:
    """Return the folder of the looks: in the installed package, or in a checkout's examples."""
    package = Path(__file__).parents[1]
    packaged = package / "looks"
    return packaged if packaged.is_dir() else package.parent / "examples" / "looks"


def looks() -> dict[str, ShippedLook]:
    """Return the shipped looks by name; the summary is the comment on a file's first line."""
    found = {}
    for path in sorted(look_folder().glob(f"*{SUFFIX}")):
        with path.open(encoding="utf-8") as file:
            summary = file.readline().strip("# \n")
        picture = path.with_suffix(PICTURE)
        found[path.stem] = ShippedLook(
            path.stem, path, summary, picture if picture.is_file() else None
        )
    return found


def look_path(name: Path) -> Path:
    """Return the file of a look: `name` if there is such a file, else the shipped look's.

    Raises `UserError` that lists the looks and suggests the nearest.
    """
    try:
        there = name.exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte, is no file's
        there = True  # and opening it says so
    known = looks()
    if there or name.parent != Path() or name.suffix:
        return name
    if str(name).lower() not in known:
        raise UserError(
            f"there is no look {str(name)!r}{did_you_mean(str(name), known)}: use"
            f" {', '.join(known)}, or name a file"
        )
    return known[str(name).lower()].path
