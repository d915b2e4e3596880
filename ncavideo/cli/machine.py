"""`ncavideo doctor` and `ncavideo bench`: what works on this machine, and how fast."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from ncavideo.cli.common import EXIT_FAILED, one_sentence_errors, say
from ncavideo.cli.complete import from_function, rulesets

if TYPE_CHECKING:
    from ncavideo.cli.doctor import Check


@click.command("doctor")
@click.option(
    "--clean",
    "cleaning",
    is_flag=True,
    help="Remove the checkpoints of unfinished renders in this folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def doctor_command(as_json: bool, cleaning: bool) -> None:
    """Check the installation: packages, devices, engines.

    \b
        ncavideo doctor
        ncavideo doctor --clean
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.cli.doctor import clean, examine

        if cleaning:
            for folder in clean():
                say(f"removed {folder.name}", err=True)
        checks = examine()
    if as_json:
        click.echo(json.dumps([vars(check) for check in checks]))
    else:
        for check in checks:
            say(f"{_mark(check)}  {check.what}: {check.detail}")
    if not all(check.ok for check in checks if check.needed):
        sys.exit(EXIT_FAILED)


def _mark(check: Check) -> str:
    """Return two letters: works, was never tested, is missing, or is missing and not needed."""
    if check.ok:
        return "??" if check.doubt else "ok"
    return "NO" if check.needed else "--"


@click.command("bench")
@click.option(
    "--ruleset",
    default="elements",
    show_default=True,
    metavar="FILE|NAME",
    shell_complete=from_function(rulesets),
    help="Rule set to measure with.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Device to measure: auto, cpu, cuda (a GPU) or mps.",
)
@click.option("--engine", default="auto", show_default=True, help="Engine of the renders.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def bench_command(ruleset: str, device: str, engine: str, as_json: bool) -> None:
    """Measure this machine: every engine, every stage of a render, and frames a second by size.

    Takes a minute or two, and shows little if other programs run beside it.

    \b
        ncavideo bench --device cpu
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.cli.bench import measure

        report = measure(ruleset, device, engine, lambda line: say(line, err=as_json))
    if as_json:
        click.echo(json.dumps(report))
