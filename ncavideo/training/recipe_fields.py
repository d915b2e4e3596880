"""The facts about a recipe's key, which stand in its dataclass field and nowhere else.

The check of recipes, the options of `ncavideo train` and the tables in docs/train.md are made from
them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ncavideo.rendering.option_table import plain
from ncavideo.util.errors import UserError
from ncavideo.util.former_names import notice

FACTS = "key"  # in a field's metadata


@dataclass(frozen=True)
class Key:
    """One key of a recipe.

    `bounds`: least and most of a number, both allowed; `choices`: the words that it may be;
    `allowed`: its values in words, where there are neither; `flag`: the option of `ncavideo train`
    that sets it, empty for none, with its own `meaning` there if that differs from `help`;
    `former`: names that it had before, which work for one release.
    """

    name: str
    default: Any
    help: str
    bounds: tuple[float, float] | None
    choices: tuple[str, ...]
    allowed: str
    flag: str
    metavar: str | None
    meaning: str
    former: tuple[str, ...]

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is dataclasses.MISSING

    @property
    def default_text(self) -> str:
        """The default as a recipe would have it, empty for none."""
        if self.required or self.default in ((), "", None):
            return ""
        if isinstance(self.default, bool):
            return str(self.default).lower()
        if isinstance(self.default, tuple):
            return str(list(self.default))
        return self.default if isinstance(self.default, str) else f"{self.default:g}"

    @property
    def allowed_text(self) -> str:
        """The range or the choices in words, empty for anything."""
        if self.bounds:
            return f"{plain(self.bounds[0])} to {plain(self.bounds[1])}"
        return ", ".join(self.choices) or self.allowed


def number(default: float, low: float, high: float, help: str, **facts: Any) -> Any:
    """Return a field for a number from `low` to `high`; `facts`: further ones of its `Key`."""
    return _field(default, help, bounds=(low, high), **facts)


def choice(words: tuple[str, ...], help: str, **facts: Any) -> Any:
    """Return a field for one of several words, the first by default."""
    return _field(words[0], help, choices=words, **facts)


def value(default: Any, help: str, allowed: str = "", **facts: Any) -> Any:
    """Return a field for anything else; `allowed`: its values in words.

    `default`: `dataclasses.MISSING` for a key that must be given.
    """
    return _field(default, help, allowed=allowed, **facts)


def _field(
    default: Any,
    help: str,
    *,
    bounds: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    allowed: str = "",
    flag: str = "",
    metavar: str | None = None,
    meaning: str = "",
    former: tuple[str, ...] = (),
) -> Any:
    facts = {
        "help": help,
        "bounds": bounds,
        "choices": choices,
        "allowed": allowed,
        "flag": flag,
        "metavar": metavar,
        "meaning": meaning,
        "former": former,
    }
    return dataclasses.field(default=default, metadata={FACTS: facts})


def keys(table: type) -> dict[str, Key]:
    """Return the keys of a recipe's table by their names, in its order."""
    return {
        field.name: Key(field.name, field.default, **field.metadata[FACTS])
        for field in dataclasses.fields(table)
        if FACTS in field.metadata
    }


def with_current_names(
    path: str, where: str, values: Mapping[str, Any], *tables: type
) -> dict[str, Any]:
    """Return a recipe's values with the present names of their keys, with a notice for others.

    `where`: the path of their table in the recipe `path`. Raises `UserError` for a key that is
    given by two names.
    """
    current = {
        former: key.name
        for table in tables
        for key in keys(table).values()
        for former in key.former
    }
    found: dict[str, Any] = {}
    for name, given in values.items():
        now = current.get(name, name)
        if now != name:
            notice(f"`{where}{name}`", f"`{where}{now}`")
        if now in found:
            raise UserError(f"{path}: `{where}{now}` is given twice: `{name}` is its former name")
        found[now] = given
    return found
