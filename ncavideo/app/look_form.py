"""The values that a look file sets in the form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ncavideo.app.render_form import AS_ALL, AUTOMATIC, MOST_RULES, PLAIN
from ncavideo.composite.shading import detail_of
from ncavideo.control.spec import parse_control
from ncavideo.nca.catalog import SUFFIX
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError


def form_of(look: Mapping[str, Any], known: list[str]) -> tuple[dict[str, Any], str]:
    """Return what the form's components show for a look, by their names, and its rule set.

    `look`: as `load_look` returns it; others get their defaults. `known`: the rule sets
    there are. Raises `UserError` for a look that the form cannot show.
    """
    if not look.get("rules"):
        raise UserError("the look names no rules")
    options = RenderOptions(**look)
    if len(options.rules) > MOST_RULES:
        raise UserError(f"the look has more than {MOST_RULES} rules: use the command line")
    ruleset = options.ruleset
    if ruleset is not None and ruleset.endswith(SUFFIX):
        ruleset = Path(ruleset).stem
    if ruleset is not None and ruleset not in known:
        raise UserError(
            "the look's rule set is a file: open that first, and leave it out of the look"
        )
    values: dict[str, Any] = {name: getattr(options, name) for name in PLAIN}
    values |= {name: getattr(options, name) or 0 for name in AUTOMATIC}
    values["detail"] = detail_of(options.shade) if options.detail is None else options.detail
    values |= {
        "rules": list(options.rules),
        "slots": list(options.rules),
        "control": "luminance",
        "light_control": _here(options.light_control or ""),
        "opacity_control": _here(options.opacity_control or ""),
        "keyframes": "\n".join(options.keyframes),
        **{f"own-{index}": AS_ALL for index in range(MOST_RULES)},
    }
    for text in options.control:
        rule = parse_control(text).rule
        name = "control" if rule is None else f"own-{_place(options.rules, rule)}"
        if values[name] not in ("luminance", AS_ALL):
            raise UserError(f"the look has two controls for {rule or 'the same rules'}")
        values[name] = _here(text if rule is None else text.partition("=")[2].strip())
    return values, ruleset or ""


def _here(control: str) -> str:
    """Return a control with the mask that was dropped in place of the look's own file."""
    spec = parse_control(control) if control else None
    if spec is None or spec.name != "mask":
        return control
    return str(replace(spec, argument=""))


def _place(rules: tuple[str, ...], rule: str) -> int:
    if rule not in rules:
        raise UserError(f"the look has a control for {rule!r}, which is none of its rules")
    return rules.index(rule)
