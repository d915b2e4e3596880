"""The facts about an option, which stand in its dataclass field and nowhere else."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from ncavideo.util.errors import UserError
from ncavideo.util.former_names import notice
from ncavideo.util.nearest import did_you_mean

Kind = Literal["bool", "int", "float", "text", "texts"]
# A look is the same for any clip and on any machine; `file` is about one clip and its output;
# `pipe` about standard input and output, which are never resumed or put into a batch; `machine`
# is where it is calculated; `run` decides nothing in the output.
Belongs = Literal["look", "file", "pipe", "machine", "run"]
T = TypeVar("T")
KEY = "option"  # in a field's metadata
WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "text": "a text",
    "texts": "a list of texts",
}


@dataclass(frozen=True)
class Option:
    """One option, as the command line, look files, batch lists, keyframes and docs need it.

    `flag`: its name on the command line, None for an option that has none; `bounds`: least and
    most, both allowed; `automatic`: the default in words, where None stands for one; `keyed`:
    whether it can have keyframes; `needs_file`: a look's option that frames without a file cannot
    show; `former`: names that it had before, which work for one release; `offers`: values that
    completion offers where others are allowed, too.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    heading: str
    belongs: Belongs
    flag: str | None
    bounds: tuple[float, float] | None
    choices: tuple[str, ...]
    keyed: bool
    metavar: str | None
    automatic: str
    needs_file: bool
    former: tuple[str, ...]
    offers: tuple[str, ...]

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is dataclasses.MISSING

    @property
    def default_text(self) -> str:
        """The default in words, empty for none."""
        if self.automatic:
            return self.automatic
        if self.required or self.default is None or self.default == ():
            return ""
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        return str(self.default) if isinstance(self.default, str) else plain(self.default)

    @property
    def allowed_text(self) -> str:
        """The range or the choices in words, empty for anything."""
        if self.choices:
            return ", ".join(self.choices)
        return f"{plain(self.bounds[0])} to {plain(self.bounds[1])}" if self.bounds else ""

    def check(self, value: Any) -> None:
        """Raise `UserError` for a value out of range, or that is none of the choices."""
        called = self.flag or self.name
        if self.bounds is not None and value is not None:
            low, high = self.bounds
            if not low <= value <= high:
                raise UserError(
                    f"{called} must lie between {plain(low)} and {plain(high)}, not {plain(value)}"
                )
        allowed = self.choices if self.default is not None else (*self.choices, None)
        if self.choices and value not in allowed:
            close = did_you_mean(value, self.choices) if isinstance(value, str) else ""
            raise UserError(f"{called} must be {' or '.join(self.choices)}, not {value!r}{close}")

    def read(self, value: Any, key: str, path: object) -> Any:
        """Return a value of TOML or JSON as the option's own kind.

        Raises `UserError`, naming the `key` in the file `path`, for a value of another kind.
        """
        if self.kind == "texts":
            texts = [value] if isinstance(value, str) else value
            if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
                return tuple(texts)
        elif self.kind == "float":
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        # A boolean is an integer to Python, but not to whoever wrote the file.
        elif type(value) is {"bool": bool, "int": int, "text": str}[self.kind]:
            return value
        raise UserError(f"{key} in {path} must be {WORDS[self.kind]}, not {value!r}")


def option(
    default: Any,
    help: str,
    heading: str,
    belongs: Belongs = "look",
    *,
    flag: str | None = "",
    bounds: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    keyed: bool = False,
    metavar: str | None = None,
    automatic: str = "",
    needs_file: bool = False,
    former: tuple[str, ...] = (),
    offers: tuple[str, ...] = (),
) -> Any:
    """Return a dataclass field that carries an option's facts; see `Option`.

    `default`: `dataclasses.MISSING` for an option that must be given; `flag`: empty for the
    field's own name.
    """
    facts = {
        "help": help,
        "heading": heading,
        "belongs": belongs,
        "flag": flag,
        "bounds": bounds,
        "choices": choices,
        "keyed": keyed,
        "metavar": metavar,
        "automatic": automatic,
        "needs_file": needs_file,
        "former": former,
        "offers": offers,
    }
    return dataclasses.field(default=default, metadata={KEY: facts})


def table(options: type) -> Mapping[str, Option]:
    """Return the options of a dataclass by their names, in its order; other fields are left out."""
    return {
        field.name: _option(field) for field in dataclasses.fields(options) if KEY in field.metadata
    }


def current_name(options: type, name: str) -> str:
    """Return the present name of the option `name`, with a notice if it had another before."""
    for current, entry in table(options).items():
        if name in entry.former:
            notice(name, current)
            return current
    return name


def takes_former_names(options: type[T]) -> type[T]:
    """Have a dataclass of options take arguments by the names that they had before."""
    init: Callable[..., None] = options.__init__

    @functools.wraps(init)
    def __init__(self: T, *values: Any, **named: Any) -> None:  # noqa: N807 - it takes its place
        found: dict[str, Any] = {}
        for name, value in named.items():
            current = current_name(options, name)
            if current in found:
                raise UserError(f"{name} and {current} are the same option: give one of them")
            found[current] = value
        init(self, *values, **found)

    setattr(options, "__init__", __init__)  # noqa: B010 - mypy knows no other way
    return options


def _option(field: dataclasses.Field[Any]) -> Option:
    facts = dict(field.metadata[KEY])
    if facts["flag"] == "":
        facts["flag"] = "--" + field.name.replace("_", "-")
    return Option(field.name, _kind(field.type), field.default, **facts)


def _kind(hint: Any) -> Kind:
    """Return the kind that a field's annotation stands for; it is a text in most modules."""
    text = hint if isinstance(hint, str) else getattr(hint, "__name__", str(hint))
    if "tuple" in text:
        return "texts"
    first = text.split("|")[0].strip()
    kinds: dict[str, Kind] = {"bool": "bool", "int": "int", "float": "float"}
    return kinds.get(first, "text")


def plain(number: float) -> str:
    """Return a number without an exponent where it is whole, as 4294967295."""
    if abs(number) > sys.float_info.max:  # a whole number may be; no more than this is said of it
        return "inf" if number > 0 else "-inf"
    whole = abs(number) < 1e15 and float(number).is_integer()
    return str(int(number)) if whole else f"{number:g}"
