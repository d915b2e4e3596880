"""The files of rule sets: how they are called, how large they may be, and which ones ship.

Without NumPy, so that completion can read the names.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

SUFFIX = ".safetensors"
# A rule set is tens of kilobytes; this bound stops a hostile file, not an ambitious one.
MAX_FILE_BYTES = 64 << 20


def preset_folder() -> Path:
    """Return the folder of the presets: in the installed package, or beside it in a checkout."""
    packaged = Path(__file__).parents[1] / "presets"
    return packaged if packaged.is_dir() else packaged.parents[1] / "presets"


def presets() -> dict[str, Path]:
    """Return the shipped rule sets by name, a set before its variants.

    The first that has a render's rules is taken, so `elements` has to come before `elements-rich`.
    """
    found = preset_folder().glob(f"*{SUFFIX}")
    return {path.stem: path for path in sorted(found, key=lambda path: path.stem)}


def plain_presets() -> dict[str, Path]:
    """Return those that are no variant of another: `elements`, but not `elements-rich`."""
    every = presets()
    return {name: path for name, path in every.items() if name.rpartition("-")[0] not in every}


def preset_rules() -> Mapping[str, tuple[str, ...]]:
    """Return the names of the rules of each preset, from the headers of the files.

    A preset that is damaged has none here: `RuleSet.load` says what is wrong with it.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, path in presets().items():
        try:
            with path.open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(min(length, MAX_FILE_BYTES)))
            document = json.loads(header["__metadata__"]["ncavideo"])
            found[name] = tuple(str(rule["name"]) for rule in document["rules"])
        except (OSError, struct.error, ValueError, KeyError, TypeError):
            continue
    return found


def preset_of(rule: str) -> str | None:
    """Return the preset that has a rule, whatever the case of its name; None if none has."""
    found = (name for name, rules in preset_rules().items() if rule.lower() in rules)
    return next(found, None)
