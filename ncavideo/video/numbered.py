"""Names of numbered pictures: `frame_%05d.png` stands for one picture a frame, counted from 1."""

from __future__ import annotations

import re
from pathlib import Path

NUMBER = re.compile(r"%0?(\d*)d")
SUFFIX = ".png"


def is_numbered(output: Path) -> bool:
    """Return whether an output's name stands for numbered pictures."""
    return output.suffix.lower() == SUFFIX and len(NUMBER.findall(output.name)) == 1


def numbered(pattern: Path, number: int) -> Path:
    """Return the name of picture `number`."""
    return pattern.with_name(
        NUMBER.sub(lambda found: str(number).zfill(int(found[1] or 0)), pattern.name)
    )
