"""Controls by name: what in a source frame drives the expression."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ncavideo.control.spec import ControlSpec, parse_control
from ncavideo.util.errors import UserError
from ncavideo.util.nearest import did_you_mean

if TYPE_CHECKING:
    from ncavideo.control.field import Context, Field


@dataclass(frozen=True)
class Kind:
    """Where a field is defined and how it is written; imported only when it is asked for.

    `choices`: controls of one rule that the app offers, by their labels; `shared`: those that share
    out all rules. A control of neither can be typed there.
    """

    module: str
    name: str
    usage: str
    choices: Mapping[str, str] = field(default_factory=dict)
    shared: Mapping[str, str] = field(default_factory=dict)


FIELDS = {
    "luminance": Kind(
        "bands",
        "Bands",
        "luminance[:dark|mid|bright|LOW-HIGH]",
        choices={
            "Bright parts": "luminance:bright",
            "Middle tones": "luminance:mid",
            "Dark parts": "luminance:dark",
        },
        shared={"Luminance": "luminance"},
    ),
    "saturation": Kind(
        "colour",
        "Saturation",
        "saturation[:LOW-HIGH]",
        choices={"Saturated colours": "saturation"},
        shared={"Saturation": "saturation"},
    ),
    "hue": Kind(
        "colour",
        "Hue",
        "hue:FROM-TO or hue:CENTRE[/WIDTH] (degrees)",
        choices={
            "Reds": "hue:330-30",
            "Yellows": "hue:30-80",
            "Greens": "hue:80-165",
            "Blues": "hue:165-270",
            "Violets and pinks": "hue:300/40",
        },
    ),
    "colour": Kind("colour", "Colour", "colour:#RRGGBB[/WIDTH]"),
    "edges": Kind(
        "edges", "Edges", "edges[:SCALE]", choices={"Edges": "edges"}, shared={"Edges": "edges"}
    ),
    "motion": Kind(
        "motion",
        "Moving",
        "motion[:SPEED]",
        choices={"Motion": "motion,smooth=0.3"},
        shared={"Motion": "motion"},
    ),
    "background": Kind(
        "background",
        "Foreground",
        "background[:SECONDS]",
        choices={"Foreground": "background,smooth=0.3"},
        shared={"Foreground": "background"},
    ),
    "segment": Kind(
        "segment",
        "Segment",
        "segment:CLASS|kmeans|grabcut",
        choices={
            "People": "segment:person",
            "What is not people": "segment:person,invert",
            "Faces": "segment:face",
            "The object in the middle": "segment:grabcut",
        },
        shared={
            "People": "segment:person",
            "Groups of like colours": "segment:kmeans",
            "The object in the middle": "segment:grabcut",
        },
    ),
    "audio": Kind(
        "audio",
        "Loudness",
        "audio[:bass|mid|treble|LOW-HIGH]",
        choices={"Loudness": "audio", "Loudness of the bass": "audio:bass"},
        shared={"Loudness": "audio"},
    ),
    "labels": Kind("labels", "Labels", "labels:PATH[:NUMBER]"),
    "mask": Kind("mask", "Mask", "mask:PATH", choices={"Mask": "mask"}, shared={"Mask": "mask"}),
}


def field_class(name: str) -> type[Field]:
    """Return the class of the named field. Raises `UserError` for an unknown one."""
    kind = FIELDS.get(name)
    if kind is None:
        usages = ", ".join(kind.usage for kind in FIELDS.values())
        raise UserError(f"unknown control {name!r}{did_you_mean(name, FIELDS)}: use {usages}")
    module = importlib.import_module(f"ncavideo.control.{kind.module}")
    found: type[Field] = getattr(module, kind.name)
    return found


def make_field(spec: ControlSpec, context: Context) -> Field:
    """Return the field that `spec` names, without its options.

    Raises `UserError` for an unknown control, or an argument or option that it cannot use.
    """
    if spec.every and spec.name != "segment":
        raise UserError(f"every= is for segment:CLASS: {spec.label} looks at every frame")
    return field_class(spec.name).parse(spec.argument, replace(context, every=spec.every))


def map_paths(text: str, change: Callable[[str], str]) -> str:
    """Return a control, as a user writes it, with `change` applied to every path in it.

    Raises `UserError` for what `parse_control` does not take.
    """
    spec = parse_control(text)
    if spec.name not in FIELDS:
        return text  # `off`, or what will be told apart when it is made
    argument = field_class(spec.name).map_paths(spec.argument, change)
    return text if argument == spec.argument else str(replace(spec, argument=argument))


def named_files(text: str) -> list[Path]:
    """Return all files that a control, as a user writes it, reads and that are there.

    Those of numbered pictures one by one, and all in a model's folder.
    """
    paths: list[Path] = []

    def collect(path: str) -> str:
        paths.append(Path(path))
        return path

    map_paths(text, collect)
    return [file for path in paths for file in _files(path)]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    if path.is_file():
        return [path]
    from ncavideo.video.numbered import numbered_pictures

    return numbered_pictures(path)
