"""The options of `RenderOptions` on the command line, for every command that renders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from ncavideo.cli.complete import AUTO, BY_OPTION, from_function, look_names
from ncavideo.cli.headings import HeadedCommand, HeadedOption
from ncavideo.rendering.option_table import Belongs, Option, table
from ncavideo.rendering.options import PACES, RenderOptions
from ncavideo.util.errors import UserError
from ncavideo.util.former_names import notice

Command = TypeVar("Command", bound=Callable[..., Any])
TYPES = {"int": int, "float": float, "text": str, "texts": str, "bool": bool}


class TableOption(HeadedOption):
    """One option of the table. Its help ends with the allowed values and the default.

    Ranges and choices are checked by the options themselves, in one sentence, not by click.
    """

    def __init__(self, declarations: Sequence[str], entry: Option) -> None:
        self.entry = entry
        switch = entry.kind == "bool"
        super().__init__(
            declarations,
            type=TYPES[entry.kind],
            is_flag=switch,
            default=False if switch else None,
            multiple=entry.kind == "texts" and entry.name != "rules",
            metavar=entry.metavar,
            help=entry.help,
            heading=entry.heading,
        )

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option as it is written, and its help."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        notes = [self.entry.allowed_text]
        if self.entry.default_text and self.entry.kind != "bool":
            notes.append(f"default: {self.entry.default_text}")
        said = "; ".join(filter(None, notes))
        return record[0], self.entry.help + (f"  [{said}]" if said else "")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the values that begin so."""
        complete = BY_OPTION.get(self.entry.name)
        if complete is not None:
            return complete(incomplete)
        known = self.entry.choices or self.entry.offers
        if not known:
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(value) for value in known if value.startswith(incomplete)]


class RenderCommand(HeadedCommand):
    """A command that takes options of the table."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words; an option may be called by a name that it had before."""
        return super().parse_args(ctx, self._with_current_names(args))

    def _with_current_names(self, args: list[str]) -> list[str]:
        entries = [p.entry for p in self.params if isinstance(p, TableOption)]
        current = {
            "--" + name.replace("_", "-"): entry.flag for entry in entries for name in entry.former
        }
        words: list[str] = []
        for number, word in enumerate(args):
            if word == "--":
                return [*words, *args[number:]]
            flag, equals, value = word.partition("=")
            if current.get(flag):
                notice(flag, str(current[flag]))
                word = f"{current[flag]}{equals}{value}"
            words.append(word)
        return words


def table_options(
    *belongs: Belongs,
    also: Sequence[str] = (),
    without: Sequence[str] = (),
    options: type = RenderOptions,
) -> Callable[[Command], Command]:
    """Add those of the `options` that belong to any of `belongs`, and those named in `also`."""

    def add(command: Command) -> Command:
        for name, entry in reversed([*table(options).items()]):
            chosen = (entry.belongs in belongs and name not in without) or name in also
            if chosen and entry.flag is not None:
                flags = entry.flag
                if entry.kind == "bool" and entry.belongs == "look":
                    # An option that a look file sets can be switched off.
                    flags += f"/--no-{flags.removeprefix('--')}"
                command = click.option(flags, name, cls=TableOption, entry=entry)(command)
        return command

    return add


look_option = click.option(
    "--look",
    type=click.Path(path_type=Path),
    metavar="NAME|FILE",
    shell_complete=from_function(look_names),
    help="Look to begin with, by name (ncavideo looks list) or as a file (.toml); the command"
    " line overrides it.",
)


def rules_option(text: str) -> tuple[tuple[str, ...], bool]:
    """Split `fire,moss`; second, whether they are to be ordered (`auto:fire,moss`)."""
    ordered = text.startswith(AUTO)
    names = text.removeprefix(AUTO).split(",")
    return tuple(rule.strip() for rule in names if rule.strip()), ordered


def asked_values(options: dict[str, Any]) -> dict[str, Any]:
    """Return the command line's options over those of its look file, for `RenderOptions`."""
    from ncavideo.rendering.look_file import load_look

    context = click.get_current_context()
    look: Path | None = options.pop("look")
    asked: dict[str, Any] = {} if look is None else load_look(look)
    rules: str | None = options.pop("rules")
    given = {
        name: value
        for name, value in options.items()
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    if rules is not None:
        asked["rules"], asked["by_brightness"] = rules_option(rules)
    # Of these a render has one: that of the command line takes the look's place.
    if not given.keys().isdisjoint(PACES):
        asked = {name: value for name, value in asked.items() if name not in PACES}
    return asked | given


def asked_options(options: dict[str, Any]) -> RenderOptions:
    """Return the options of the command line. Raises `UserError` if it names no rules."""
    asked = asked_values(options)
    if "rules" not in asked:
        raise UserError("name the rules: --rules fire,moss, or a --look that does")
    return RenderOptions(**asked)
