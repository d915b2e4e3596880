"""The names of ImageNet's thousand classes, as prompts; timm has them (WordNet's lemmas)."""

from __future__ import annotations

import difflib
import functools
import re
from typing import Any

from ncavideo.util.errors import UserError

CLASSES = 1000
INSTALL = "pip install 'ncavideo[imagenet]'"
MOST_SHOWN = 6  # names that an error suggests


@functools.cache
def names() -> dict[str, tuple[int, ...]]:
    """Return each name, as `plain` makes it, and the classes that have it, ascending.

    A class has one to nine names; some names, as "crane", belong to two classes. Raises
    `UserError` where timm is missing.
    """
    info, found = _info(), dict[str, tuple[int, ...]]()
    for index in range(CLASSES):
        for name in map(plain, info.index_to_description(index).split(", ")):
            if index not in found.get(name, ()):
                found[name] = (*found.get(name, ()), index)
    return found


@functools.cache
def _info() -> Any:
    """Return timm's table of classes."""
    try:
        from timm.data.imagenet_info import ImageNetInfo
    except ImportError as error:
        raise UserError(
            f"the guide imagenet takes the names of classes from timm: {INSTALL}"
        ) from error
    return ImageNetInfo()


def plain(name: str) -> str:
    """Return a name in small letters, without an article; dashes and underlines are spaces."""
    name = re.sub(r"[\s_-]+", " ", name).strip().lower()
    return re.sub(r"^(an?|the) ", "", name)


def first_name(index: int) -> str:
    """Return the first of a class's names, as timm writes it."""
    name: str = _info().index_to_description(index).split(", ")[0]
    return name


def class_of(prompt: str) -> int:
    """Return the index, 0 to 999, of the class that a prompt means.

    A prompt is a name of the class, the beginning of its names and no other's, or the index in
    digits. Raises `UserError`, with what may be meant, where it means no class or several.
    """
    known, asked = names(), plain(prompt)
    if asked.isdecimal() and int(asked) < CLASSES:
        return int(asked)
    exact = known.get(asked, ())
    if len(exact) == 1:
        return exact[0]
    if exact:
        meanings = " or ".join(
            f"{index} ({_info().index_to_description(index, detailed=True).split(': ', 1)[1]})"
            for index in exact
        )
        raise UserError(
            f"the prompt {prompt!r} is the name of several classes of ImageNet: say {meanings}"
        )
    begun = [name for name in known if asked and name.startswith(asked)]
    meant = {index for name in begun for index in known[name]}
    if len(meant) == 1:
        return meant.pop()
    word = re.compile(rf"\b{re.escape(asked)}\b")
    near = [name for name in known if asked and word.search(name)]
    near = near or begun or difflib.get_close_matches(asked, known, MOST_SHOWN, 0.7)
    hint = f"did you mean {', '.join(near[:MOST_SHOWN])}?" if near else "zebra is one, for example"
    raise UserError(
        f"the prompt {prompt!r} is no class of ImageNet, whose names the guide imagenet takes:"
        f" {hint}"
    )
