"""`ncavideo export`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ncavideo.cli.common import one_sentence_errors, say
from ncavideo.cli.complete import from_function, rulesets


@click.command("export")
@click.argument("ruleset", metavar="RULESET", shell_complete=from_function(rulesets))
@click.option(
    "--html", "output", type=click.Path(path_type=Path), required=True, help="A .html to write."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@click.option("--quiet", is_flag=True, help="No report.")
def export_command(ruleset: str, output: Path, overwrite: bool, as_json: bool, quiet: bool) -> None:
    """Write RULESET (a preset, a file, hf://USER/REPO) as a page that runs it in the browser.

    \b
        ncavideo export elements-fine --html elements.html
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.nca.ruleset import open_ruleset
        from ncavideo.web.export import export

        size = export(open_ruleset(ruleset), output, overwrite)
    if as_json:
        click.echo(json.dumps({"output": str(output), "bytes": size}))
    elif not quiet:
        say(f"{output}: {size / 1000:.0f} kB; open it in a browser", err=True)
