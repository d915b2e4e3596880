"""`ncavideo presets`: what there is, how it was trained, and where to send it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ncavideo.cli.common import one_sentence_errors, say
from ncavideo.cli.complete import from_function, rulesets
from ncavideo.util.printable import printable


@click.group("presets")
def presets_group() -> None:
    """Show the rule sets that come with ncavideo."""


@presets_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def presets_list(as_json: bool) -> None:
    """List the presets and their rules.

    \b
        ncavideo presets list
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.nca.catalog import presets
        from ncavideo.nca.ruleset import RuleSet

        sets = [RuleSet.load(path) for path in presets().values()]
    if as_json:
        click.echo(json.dumps({s.name: list(s.rule_names) for s in sets}))
        return
    for ruleset in sets:
        say(f"{ruleset.name}: {', '.join(ruleset.rule_names)}")


@presets_group.command("show", short_help="Show what a rule set is and how it was trained.")
@click.argument("name", shell_complete=from_function(rulesets))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def presets_show(name: str, as_json: bool) -> None:
    """Show what the preset or rule set file NAME is and how it was trained.

    \b
        ncavideo presets show elements
        ncavideo presets show fire
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.nca.catalog import preset_of
        from ncavideo.nca.ruleset import open_ruleset

        # A rule stands for the preset that has it, where no file is called so.
        home = None if Path(name).exists() else preset_of(name)
        ruleset = open_ruleset(home or name)
    facts: dict[str, Any] = {
        "name": ruleset.name,
        "rules": [vars(rule) for rule in ruleset.rules],
        "inputs": list(ruleset.inputs),
        "channels": ruleset.channels,
        "hidden": ruleset.hidden,
        "fire_rate": ruleset.fire_rate,
        "weights": int(ruleset.w1.size + ruleset.b1.size + ruleset.w2.size),
        "provenance": ruleset.provenance,
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    if home is not None:
        say(f"the rule {name.lower()} is in the preset {home}")
    say(
        f"{ruleset.name}: {ruleset.channels} channels, {ruleset.hidden} hidden,"
        f" {facts['weights']:,} weights, inputs {', '.join(ruleset.inputs)}"
    )
    for rule in ruleset.rules:
        style = printable(rule.style or "none", "")
        credit = f" ({printable(rule.credit, '')})" if rule.credit else ""
        say(f"  {rule.name}: {rule.prompt!r}, style {style}{credit}")
    origin = ruleset.provenance
    start = origin.get("start")
    before = start.get("name") if isinstance(start, dict) else None
    began = f" from {printable(str(before), '')}" if before else ""
    say(
        f"trained {origin.get('date', 'at an unknown date')}{began},"
        f" {origin.get('iterations', 'unknown')} iterations,"
        f" style features: {origin.get('style_features', 'unknown')},"
        f" text guide: {origin.get('guide', 'unknown')}"
    )
    if "note" in origin:
        say(f"note: {origin['note']}")


@presets_group.command("sheet")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A .png file.")
@click.option(
    "--ruleset",
    metavar="FILE|NAME",
    shell_complete=from_function(rulesets),
    help="Only this one.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def presets_sheet(output: Path, ruleset: str | None, overwrite: bool, as_json: bool) -> None:
    """Draw one labelled picture of all rules, from dark to bright.

    \b
        ncavideo presets sheet -o rules.png
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.nca.rule_sheet import sheet

        sheet(output, ruleset, overwrite)
    if as_json:
        click.echo(json.dumps({"output": str(output)}))
    else:
        say(str(output), err=True)


@presets_group.command("push", short_help="Send a rule set to the Hugging Face hub.")
@click.argument("name", shell_complete=from_function(rulesets))
@click.argument("repo", metavar="USER/REPO")
@click.option("--private", is_flag=True, help="Make a new repository a private one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def presets_push(name: str, repo: str, private: bool, as_json: bool) -> None:
    """Send the preset or rule set file NAME to USER/REPO on the Hugging Face hub.

    \b
        ncavideo presets push mine.safetensors USER/mine
    """  # noqa: D301
    with one_sentence_errors():
        from ncavideo.nca.publish import push
        from ncavideo.nca.ruleset import open_ruleset

        address = push(open_ruleset(name), repo, private)
    if as_json:
        click.echo(json.dumps({"address": address, "ruleset": f"hf://{repo}"}))
    else:
        say(f"{address}: render with --ruleset hf://{repo}", err=True)
