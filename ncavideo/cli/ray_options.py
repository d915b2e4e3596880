"""The options of commands that can spread their work over a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ncavideo.cli.headings import HeadedOption

Command = TypeVar("Command", bound=Callable[..., Any])
HEADING = "Ray"


def ray_options(work: str, part: str, memory: float) -> Callable[[Command], Command]:
    """Add `--ray` and what each part of the work asks of the cluster.

    `work`: what is done on it, as in "render"; `part`: what gets its own share of the machines, as
    in "clip"; `memory`: GB for each, unless said otherwise.
    """

    def add(command: Command) -> Command:
        for flag, settings in reversed(
            (
                (
                    "--ray",
                    {
                        "metavar": "ADDRESS",
                        "help": f"Ray cluster to {work} on: its address, auto to find it, local to"
                        " start one here.",
                    },
                ),
                (
                    "--ray-cpus",
                    {"default": 4.0, "show_default": True, "help": f"CPU cores per {part}."},
                ),
                (
                    "--ray-gpus",
                    {
                        "type": float,
                        "show_default": "1 where there are any",
                        "help": f"GPUs per {part}; 0.5 lets two share one.",
                    },
                ),
                (
                    "--ray-memory",
                    {"default": memory, "show_default": True, "help": f"Memory per {part} in GB."},
                ),
            )
        ):
            command = click.option(flag, cls=HeadedOption, heading=HEADING, **settings)(command)
        return command

    return add
