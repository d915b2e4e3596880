"""Look files: everything about a render that makes its look, in TOML, to be used again."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ncavideo.control import map_paths
from ncavideo.rendering.looks import look_path
from ncavideo.rendering.option_table import current_name, table
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.atomic_write import replacing
from ncavideo.util.errors import OutputError, UserError
from ncavideo.util.fetch import is_url
from ncavideo.util.nearest import did_you_mean
from ncavideo.util.read_file import read_text

FORMAT = 1
OPTIONS = {n: option for n, option in table(RenderOptions).items() if option.belongs == "look"}
MOST_BYTES = 1 << 20


def load_look(path: Path) -> dict[str, Any]:
    """Read a look, a shipped one by its name, as arguments for `RenderOptions`.

    A rule set's file, and files in masks, are relative to the look. Raises `UserError` for a file
    that cannot be read, a key that is not known or a value of the wrong kind.
    """
    path = look_path(path)
    try:
        data = tomllib.loads(read_text(path, "look", MOST_BYTES, "utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(f"there is no look {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the look {path} cannot be read ({error})") from error
    except (ValueError, RecursionError) as error:  # a number of 5000 digits is no TOML error
        raise UserError(f"the look {path} is not TOML: {error}") from error
    version = data.pop("format", FORMAT)
    if version != FORMAT:
        raise UserError(f"the look {path} has format {version!r}; this version reads {FORMAT}")
    options: dict[str, Any] = {}
    for key, value in data.items():
        name = current_name(RenderOptions, key.replace("-", "_"))
        if name not in OPTIONS:
            close = did_you_mean(name, OPTIONS)
            raise UserError(
                f"the look {path} has an unknown key {key!r}{close}: use {', '.join(OPTIONS)}"
            )
        if name in options:
            raise UserError(f"the look {path} has {name} twice: {key!r} is another name for it")
        options[name] = OPTIONS[name].read(value, key, path)
    return _moved(options, lambda found: str(path.parent / found))


def _moved(options: dict[str, Any], move: Callable[[str], str]) -> dict[str, Any]:
    """Return the options with `move` applied to every path in them."""
    moved = dict(options)

    def moving(found: str) -> str:
        return found if is_url(found) else move(found)

    ruleset = options.get("ruleset")
    if ruleset and ruleset.endswith(".safetensors") and "://" not in ruleset:
        moved["ruleset"] = move(ruleset)
    for name in ("light_control", "opacity_control"):
        if options.get(name):
            moved[name] = map_paths(options[name], moving)
    if options.get("control"):
        moved["control"] = tuple(map_paths(text, moving) for text in options["control"])
    return moved


def save_look(path: Path, options: RenderOptions, overwrite: bool = False) -> None:
    """Write what differs from the defaults. Raises `UserError` for an existing file."""
    import tomli_w

    if os.path.lexists(path) and not overwrite:
        raise UserError(f"{path} exists: name another look or give --overwrite")
    if not path.absolute().parent.is_dir():
        raise UserError(f"there is no folder {path.absolute().parent} to write {path.name} in")
    folder = path.absolute().parent
    values = {name: getattr(options, name) for name in OPTIONS}
    values = _moved(values, lambda found: os.path.relpath(found, folder))
    data: dict[str, Any] = {"format": FORMAT}
    for name, option in OPTIONS.items():
        if values[name] != option.default:
            data[name] = list(values[name]) if isinstance(values[name], tuple) else values[name]
    try:
        with replacing(path, overwrite) as partial:
            partial.write_text(tomli_w.dumps(data), "utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
