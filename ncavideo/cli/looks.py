"""`ncavideo looks`: the looks that come with ncavideo, and how a clip looks in each."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ncavideo.cli.common import one_sentence_errors, say
from ncavideo.cli.complete import from_function, look_names
from ncavideo.cli.progress import progress_bar


@click.group("looks")
def looks_group() -> None:
    """Show the looks that come with ncavideo: `--look` takes them by name."""


@looks_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def looks_list(as_json: bool) -> None:
    """List the looks, with a line about each.

    \b
        ncavideo looks list
    """  # noqa: D301
    from ncavideo.rendering.looks import looks

    known = looks()
    if as_json:
        click.echo(json.dumps({look.name: look.summary for look in known.values()}))
        return
    width = max(map(len, known), default=0)
    for look in known.values():
        say(f"{look.name:<{width}}  {look.summary}")


@looks_group.command("show", short_help="Show the options of a look.")
@click.argument("name", type=click.Path(path_type=Path), shell_complete=from_function(look_names))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def looks_show(name: Path, as_json: bool) -> None:
    """Show the options of the look NAME, and the same as a command line.

    \b
        ncavideo looks show overgrown
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.rendering.command_line import render_command
        from ncavideo.rendering.look_file import MOST_BYTES, load_look
        from ncavideo.rendering.looks import look_path
        from ncavideo.rendering.options import RenderOptions
        from ncavideo.util.read_file import read_text

        values = load_look(name)
        path = look_path(name)
        text = read_text(path, "look", MOST_BYTES)
        line = render_command("in.mp4", RenderOptions(**values)) if "rules" in values else None
    if as_json:
        click.echo(json.dumps({"name": path.stem, "options": values, "command": line}))
        return
    say(text.rstrip())
    if line is not None:
        say(f"\nthe same without the look: {line}", err=True)


@looks_group.command("sheet", short_help="Draw a moment of a clip in every look.")
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A .png file.")
@click.option(
    "--at",
    type=float,
    metavar="SECONDS",
    show_default="the middle of CLIP",
    help="The moment to draw.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@click.option("--quiet", is_flag=True, help="No progress and no report.")
def looks_sheet(
    clip: Path, output: Path, at: float | None, overwrite: bool, as_json: bool, quiet: bool
) -> None:
    """Draw one labelled picture of a moment of CLIP in every look.

    \b
        ncavideo looks sheet in.mp4 -o looks.png
    """  # noqa: D301
    with one_sentence_errors(), progress_bar("looks", "look", quiet) as bar:
        from ncavideo.rendering.look_sheet import look_sheet

        notes = look_sheet(clip, output, at=at, overwrite=overwrite, news=bar)
    if as_json:
        click.echo(json.dumps({"output": str(output), "notes": notes}))
    elif not quiet:
        say(str(output), err=True)
    if not quiet:
        for note in notes:
            say(f"note: {note}", err=True)
