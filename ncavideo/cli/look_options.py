"""The options that make a look, for every command that renders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    from ncavideo.rendering.options import RenderOptions

Command = TypeVar("Command", bound=Callable[..., Any])
AUTO = "auto:"


def look_options(command: Command) -> Command:
    """Add the options that make a look."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


OPTIONS = (
    click.option(
        "--rules",
        metavar="A,B,...",
        help="From brightest to darkest; auto:A,B puts them in that order.",
    ),
    click.option(
        "--look",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A .toml with any of these options; the command line comes first.",
    ),
    click.option(
        "--control",
        multiple=True,
        metavar="[RULE=]NAME[:ARGUMENT][,OPTION]",
        help="What drives the rules, or one of them. May be repeated.  [default: luminance]",
    ),
    click.option(
        "--contrast",
        type=float,
        help="How steeply rules change over: 1 is a plain ramp.  [default: 6; not luminance: 1]",
    ),
    click.option(
        "--light",
        type=float,
        help="How strongly the source's light drives the texture's, 0 to 1.  [default: 1]",
    ),
    click.option(
        "--light-control", metavar="NAME[:ARGUMENT]", help="What drives it instead of luminance."
    ),
    click.option("--shade", type=float, help="Shading after the fact, 0 to 1.  [default: 0.5]"),
    click.option(
        "--blend",
        metavar="MODE",
        help="normal, multiply, screen, overlay, soft-light or luminosity.  [default: normal]",
    ),
    click.option("--opacity", type=float, help="Of the texture, 0 to 1.  [default: 1]"),
    click.option("--opacity-control", metavar="NAME[:ARGUMENT]", help="What opacity follows, too."),
    click.option(
        "--keep", metavar="WHAT", help="The source's luminance or its chroma.  [default: none]"
    ),
    click.option("--matte/--no-matte", help="The texture alone, with alpha where it is not."),
    click.option(
        "--upscale",
        metavar="HOW",
        help="From cells to pixels: cubic, sharp, or auto for sharp cells above 2 pixels.",
    ),
    click.option("--flow/--no-flow", help="Carry the texture along with what moves."),
    click.option(
        "--on-cut", metavar="WHAT", help="At a cut keep the grid or restart it.  [default: keep]"
    ),
    click.option("--steps", type=int, help="Steps a frame.  [default: 8; with --flow 4]"),
    click.option("--tempo", type=float, metavar="STEPS", help="Steps a second, instead."),
    click.option(
        "--key",
        "keys",
        multiple=True,
        metavar="NAME@S=V,S=V",
        help="Keyframes: opacity@0=0,5=1. contrast, light, shade, opacity, steps, tempo or a rule.",
    ),
    click.option(
        "--cell",
        type=int,
        metavar="PX",
        help="Pixels a cell.  [default: for about 360 rows of cells]",
    ),
    click.option(
        "--warmup", type=int, metavar="STEPS", help="Steps before the first frame.  [default: 240]"
    ),
)


def rules_option(text: str) -> tuple[tuple[str, ...], bool]:
    """Split `fire,moss`; second, whether they are to be ordered (`auto:fire,moss`)."""
    ordered = text.startswith(AUTO)
    names = text.removeprefix(AUTO).split(",")
    return tuple(rule.strip() for rule in names if rule.strip()), ordered


def asked_values(options: dict[str, Any]) -> dict[str, Any]:
    """Return what the command line says on top of its look file, as `RenderOptions` takes it."""
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
    return asked | given


def asked_options(options: dict[str, Any]) -> RenderOptions:
    """Return what the command line asks for. Raises `UserError` if it names no rules."""
    from ncavideo.rendering.options import RenderOptions

    asked = asked_values(options)
    if "rules" not in asked:
        raise UserError("name the rules: --rules fire,moss, or a --look that does")
    return RenderOptions(**asked)
