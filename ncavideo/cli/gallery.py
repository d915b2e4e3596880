"""`ncavideo gallery`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ncavideo.cli import complete
from ncavideo.cli.common import one_sentence_errors, say
from ncavideo.cli.complete import from_function
from ncavideo.cli.progress import progress_bar


@click.command("gallery")
@click.argument(
    "rulesets", nargs=-1, metavar="[RULESET...]", shell_complete=from_function(complete.rulesets)
)
@click.option("--out-dir", type=click.Path(path_type=Path), required=True, help="Made if missing.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@click.option("--quiet", is_flag=True, help="No progress and no report.")
def gallery_command(
    rulesets: tuple[str, ...], out_dir: Path, overwrite: bool, as_json: bool, quiet: bool
) -> None:
    """Write a folder of web pages that shows rule sets, by default all presets, live.

    \b
        ncavideo gallery --out-dir site
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.nca.catalog import presets
        from ncavideo.nca.ruleset import open_ruleset
        from ncavideo.web.gallery import gallery

        shown = [open_ruleset(name) for name in rulesets or presets()]
        with progress_bar("gallery", "rule set", quiet) as bar:
            files = gallery(shown, out_dir, overwrite, bar)
    if as_json:
        click.echo(json.dumps({"files": [str(file) for file in files]}))
    elif not quiet:
        say(f"{files[0]}: open it in a browser", err=True)
