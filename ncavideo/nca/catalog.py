"""The files of rule sets: how they are called, how large they may be, and which ones ship."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

SUFFIX = ".safetensors"
# A rule set is tens of kilobytes; this bound stops a hostile file, not an ambitious one.
MAX_FILE_BYTES = 64 << 20


def preset_folder() -> Path:
    """Return the folder of the presets: in the installed package, or beside it in a checkout."""
    packaged = Path(str(resources.files("ncavideo"))) / "presets"
    return packaged if packaged.is_dir() else packaged.parent.parent / "presets"


def presets() -> dict[str, Path]:
    """Return the shipped rule sets by name."""
    return {path.stem: path for path in sorted(preset_folder().glob(f"*{SUFFIX}"))}
