"""Help whose options stand under headings."""

from __future__ import annotations

from typing import Any

import click

FIRST = "Options"


class HeadedOption(click.Option):
    """An option that stands under a heading of its command's help."""

    def __init__(self, *arguments: Any, heading: str = FIRST, **settings: Any) -> None:
        self.heading = heading
        super().__init__(*arguments, **settings)


class HeadedCommand(click.Command):
    """A command whose help lists its options under their headings, in the order of the options.

    Options without a heading come first.
    """

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        sections: dict[str, list[tuple[str, str]]] = {FIRST: []}
        for parameter in self.get_params(ctx):
            heading = parameter.heading if isinstance(parameter, HeadedOption) else FIRST
            record = parameter.get_help_record(ctx)
            if record is not None and not isinstance(parameter, click.Argument):
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)
