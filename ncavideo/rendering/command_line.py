"""The command line that asks for the same as given options."""

from __future__ import annotations

import shlex

from ncavideo.rendering.option_table import Belongs, table
from ncavideo.rendering.options import RenderOptions

# The options that a preview takes.
PREVIEW_BELONGS: tuple[Belongs, ...] = ("look", "machine")
PREVIEW_ALSO = ("levels", "start", "duration", "fields", "fps", "overwrite")


def render_command(clip: str, options: RenderOptions, output: str | None = None) -> str:
    """Return the `ncavideo render` of `clip`, with what differs from the defaults.

    Quoted for a POSIX shell; `output` None for the default name.
    """
    words = ["ncavideo", "render", _path(clip)]
    if output is not None:
        words += ["-o", _path(output)]
    return shlex.join(words + option_words(options))


def frame_command(clip: str, options: RenderOptions, time: float) -> str:
    """Return the `ncavideo preview` that writes the finished frame of `clip` at `time` seconds."""
    kept = {
        name: getattr(options, name)
        for name, option in table(RenderOptions).items()
        if option.belongs in PREVIEW_BELONGS or name in PREVIEW_ALSO
    }
    words = ["ncavideo", "preview", _path(clip), "--at", f"{time:g}"]
    return shlex.join(words + option_words(RenderOptions(**kept)))


def option_words(options: RenderOptions) -> list[str]:
    """Return the options that differ from the defaults as words of a command line."""
    words: list[str] = []
    for name, option in table(type(options)).items():
        value = getattr(options, name)
        if option.flag is None or value == option.default:
            continue
        if name == "rules":
            words += [option.flag, ("auto:" if options.by_brightness else "") + ",".join(value)]
        elif value is True:
            words.append(option.flag)
        else:
            for one in value if isinstance(value, tuple) else (value,):
                # repr: all digits that the number has, and none that it has not.
                words += [
                    option.flag,
                    repr(one).removesuffix(".0") if isinstance(one, float) else str(one),
                ]
    return words


def _path(name: str) -> str:
    """Return a file's name so that it is not taken for an option."""
    return f"./{name}" if name.startswith("-") else name
