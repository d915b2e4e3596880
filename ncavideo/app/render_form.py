"""From the form on the Render tab to the options of a render."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ncavideo.composite.shading import detail_of
from ncavideo.control import FIELDS
from ncavideo.control.spec import parse_control
from ncavideo.rendering.option_table import table
from ncavideo.rendering.options import CLIP, RenderOptions
from ncavideo.util.errors import UserError

MOST_RULES = 8
AS_ALL = "as all the others"
# The controls that the form offers, by their labels. `mask` is the picture or clip that was
# dropped; other controls that read a file are for the command line.
CONTROLS = {label: text for kind in FIELDS.values() for label, text in kind.shared.items()}
OWN_CONTROLS = {label: text for kind in FIELDS.values() for label, text in kind.choices.items()}
FIELD_CONTROLS = {label: text for label, text in OWN_CONTROLS.items() if "luminance" not in text}
FORMATS = {
    "As the clip": (None, None),
    "MP4 (H.264)": (".mp4", "h264"),
    "WebM (VP9)": (".webm", "vp9"),
    "ProRes": (".mov", "prores"),
    "Lossless (FFV1)": (".mkv", "ffv1"),
    "GIF": (".gif", None),
}
_TABLE = table(RenderOptions)
_DEFAULTS = {
    name: option.default
    for name, option in _TABLE.items()
    if option.belongs == "look" and (option.choices or option.kind in ("bool", "int", "float"))
}
# A look's numbers without a default, where 0 stands for automatic in the form.
AUTOMATIC = tuple(
    name for name, default in _DEFAULTS.items() if default is None and name != "detail"
)
# A look's numbers, choices and switches that have one.
PLAIN = tuple(name for name, default in _DEFAULTS.items() if default is not None)
# All of a look's values in the form; what detail has by itself goes with the shading.
OF_LOOKS = (*PLAIN, *AUTOMATIC, "detail")
# The ends of the clip: seconds, where 0 stands for none. The form has `begin` and `end` for a part.
ENDS = tuple(
    name
    for name, option in _TABLE.items()
    if option.heading == CLIP and option.kind == "float" and name not in ("start", "duration")
)


def asked_options(values: Mapping[str, Any], ruleset: str, mask: Path | None) -> RenderOptions:
    """Return the options that the form's `values` ask for.

    `values`: as the components give them, by the options' names, and `own` (a control for each
    rule in turn, or `AS_ALL`), `keyframes` (one a line), `begin` and `end` (seconds),
    `format`. `mask`: the file that the control `mask` reads. Raises `UserError` for values that
    no render can have.
    """
    rules = tuple(values["rules"] or ())
    if not rules:
        raise UserError("choose at least one rule")
    if len(rules) > MOST_RULES:
        raise UserError(f"choose at most {MOST_RULES} rules")
    controls = [values["control"]] if values["control"] not in ("luminance", None) else []
    own = zip(rules, values["own"], strict=False)
    controls += [f"{rule}={text}" for rule, text in own if text != AS_ALL]
    # A number that was cleared is the default.
    asked: dict[str, Any] = {
        name: _plain(name, values[name]) for name in PLAIN if values[name] is not None
    }
    asked |= {name: _plain(name, values[name]) or None for name in AUTOMATIC}
    shade = asked.get("shade", _DEFAULTS["shade"])
    detail = _plain("detail", values["detail"])
    asked["detail"] = None if detail == detail_of(shade) else detail
    # Without seconds the option has its default: 0 for some, None for others.
    asked |= {name: _plain(name, values[name]) for name in ENDS if values[name]}
    for name in ("light_control", "opacity_control"):
        asked[name] = _control(values[name], mask) if values[name] else None
    begin, end = (_plain(name, values[name]) or 0.0 for name in ("begin", "end"))
    if end and end <= begin:
        raise UserError(f"the end ({end:g} s) must come after the beginning ({begin:g} s)")
    return RenderOptions(
        rules=rules,
        ruleset=ruleset,
        control=tuple(_control(text, mask) for text in controls),
        start=begin or None,
        duration=end - begin if end else None,
        keyframes=tuple(
            line.strip() for line in (values["keyframes"] or "").splitlines() if line.strip()
        ),
        codec=FORMATS[values["format"]][1],
        **asked,
    )


def own_controls(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the rules' own controls, by the rules that the form has them for.

    A rule that is not chosen any more may be among them.
    """
    controls = (values[f"own-{index}"] for index in range(MOST_RULES))
    return dict(zip(values["slots"] or (), controls, strict=False))


def own_slots(slots: Sequence[str], rules: Sequence[str]) -> list[str]:
    """Return the rules that the fields of own controls are for, once `rules` are chosen.

    `slots`: those that they were for. A rule keeps its field; one without takes a field that has
    had no rule yet, or whose rule is not chosen any more. At most `MOST_RULES` have one.
    """
    found = list(slots)
    for rule in rules:
        if rule in found:
            continue
        if len(found) < MOST_RULES:
            found.append(rule)
            continue
        left = next((index for index, other in enumerate(found) if other not in rules), None)
        if left is not None:
            found[left] = rule
    return found


def output_name(clip: Path, options: RenderOptions, form: str) -> str:
    """Return the output's name for the chosen format."""
    from ncavideo.rendering.render import default_output

    suffix = FORMATS[form][0]
    name = default_output(clip, options)
    return (name.with_suffix(suffix) if suffix else name).name


def shown_options(options: RenderOptions, presets: Mapping[str, Path]) -> RenderOptions:
    """Return the options with names for paths, as a user who has the files would write them.

    A preset that is found by its rules alone is not named.
    """
    ruleset: str | None = options.ruleset
    if ruleset in presets:
        from ncavideo.nca.ruleset import find_ruleset

        ruleset = None if find_ruleset(options.rules).name == ruleset else ruleset
    elif ruleset is not None:
        ruleset = Path(ruleset).name
    light, opacity = options.light_control, options.opacity_control
    return dataclasses.replace(
        options,
        ruleset=ruleset,
        control=tuple(_named(text) for text in options.control),
        light_control=_named(light) if light else None,
        opacity_control=_named(opacity) if opacity else None,
    )


def _plain(name: str, value: Any) -> Any:
    """Return a component's value as the option's own type: a slider gives 1 for 1.0."""
    if value is None or isinstance(value, bool | str):
        return value
    if name in _TABLE and _TABLE[name].kind == "int":
        if value != int(value):
            raise UserError(f"{name} must be a whole number, not {value:g}")
        return int(value)
    return float(value)


def _control(text: str, mask: Path | None) -> str:
    """Return a control as it is to be run. Raises `UserError` if it reads files of the machine."""
    spec = parse_control(text)
    if spec.name == "mask" and not spec.argument:
        if mask is None:
            raise UserError("drop a picture or a clip for the mask, or paint one over the picture")
        return str(dataclasses.replace(spec, argument=str(mask)))
    if spec.name in ("mask", "labels") or "@" in spec.argument:
        raise UserError(f"{spec.label} reads a file: use the command line for that")
    return text


def _named(text: str) -> str:
    spec = parse_control(text)
    if spec.name != "mask":
        return text
    return str(dataclasses.replace(spec, argument=Path(spec.argument).name))
