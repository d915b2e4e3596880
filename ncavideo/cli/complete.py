"""Values that a shell completes: rules, rule sets, controls, looks.

A shell asks at every press of Tab: nothing here loads NumPy or a rule set's weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from ncavideo.control import FIELDS
from ncavideo.nca.catalog import preset_rules
from ncavideo.rendering.looks import looks

AUTO = "auto:"  # before rules that are to be ordered by their brightness
OPTIONS_OF_CONTROLS = ("invert", "smooth=", "blur=", "rise=", "weight=", "every=")


def rules(incomplete: str) -> list[CompletionItem]:
    """Complete `fire,mo`: after a comma with the rules of the presets that have those before it."""
    auto = AUTO if incomplete.startswith(AUTO) else ""
    *before, word = incomplete.removeprefix(AUTO).split(",")
    done = {name.strip().lower() for name in before}
    head = auto + "".join(f"{name}," for name in before)
    homes: dict[str, str] = {}  # a rule is offered once, as of the preset that it is taken from
    for preset, names in preset_rules().items():
        if done <= set(names):
            for rule in names:
                homes.setdefault(rule, preset)
    return [
        CompletionItem(head + rule, help=f"of {preset}")
        for rule, preset in homes.items()
        if rule not in done and rule.startswith(word.lower())
    ]


def weights(incomplete: str) -> list[CompletionItem]:
    """Complete a still's `fire=0.7,mo`."""
    *before, word = incomplete.split(",")
    names = ",".join([*(part.partition("=")[0] for part in before), word])
    head = "".join(f"{part}," for part in before)
    return [
        CompletionItem(head + item.value.rpartition(",")[2], help=item.help)
        for item in rules(names)
    ]


def rulesets(incomplete: str) -> list[CompletionItem]:
    """Complete the name of a preset; else a file's."""
    found = [
        CompletionItem(preset, help=", ".join(names))
        for preset, names in preset_rules().items()
        if preset.startswith(incomplete.lower())
    ]
    return found or _file(incomplete)


def look_names(incomplete: str) -> list[CompletionItem]:
    """Complete the name of a look; else a file's."""
    found = [
        CompletionItem(look.name, help=look.summary)
        for look in looks().values()
        if look.name.startswith(incomplete.lower())
    ]
    return found or _file(incomplete)


def field(incomplete: str) -> list[CompletionItem]:
    """Complete `NAME[:ARGUMENT][,OPTION]`, after the path of a mask with files."""
    body, comma, option = incomplete.rpartition(",")
    if comma:
        return _beginning(option, OPTIONS_OF_CONTROLS, f"{body},")
    name, colon, path = incomplete.partition(":")
    if colon and name in FIELDS and "PATH" in FIELDS[name].usage:
        return _file(path)
    known = dict.fromkeys(FIELDS)
    for kind in FIELDS.values():
        known |= dict.fromkeys(
            text.partition(",")[0] for text in (*kind.choices.values(), *kind.shared.values())
        )
    return [
        CompletionItem(text, help=FIELDS[text.partition(":")[0]].usage)
        for text in known
        if text.startswith(incomplete)
    ]


def control(incomplete: str) -> list[CompletionItem]:
    """Complete `[RULE=]NAME[:ARGUMENT][,OPTION]`."""
    rule, equals, rest = incomplete.partition("=")
    if equals and ":" not in rule and "," not in rule:
        return [CompletionItem(f"{rule}={item.value}", help=item.help) for item in field(rest)]
    return field(incomplete)


def _beginning(word: str, known: Iterable[str], head: str = "") -> list[CompletionItem]:
    return [CompletionItem(head + name) for name in known if name.startswith(word)]


def _file(incomplete: str) -> list[CompletionItem]:
    """Have the shell complete a file's name."""
    return [CompletionItem(incomplete, type="file")]


# By the names of the options in the table.
BY_OPTION: dict[str, Callable[[str], list[CompletionItem]]] = {
    "rules": rules,
    "ruleset": rulesets,
    "control": control,
    "light_control": field,
    "opacity_control": field,
}


def from_function(
    complete: Callable[[str], list[CompletionItem]],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return a completion as `click.option(shell_complete=...)` takes it."""
    return lambda context, parameter, incomplete: complete(incomplete)
