"""Controls by name: what in a source frame drives the expression."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ncavideo.control.spec import ControlSpec
from ncavideo.errors import UserError

if TYPE_CHECKING:
    from ncavideo.control.base import Context, Field


@dataclass(frozen=True)
class Kind:
    """Where a field is defined and how it is written; imported only when it is asked for."""

    module: str
    name: str
    usage: str


FIELDS = {
    "luminance": Kind("bands", "Bands", "luminance[:dark|mid|bright|LOW-HIGH]"),
    "hue": Kind("colour", "Hue", "hue:FROM-TO (degrees)"),
    "saturation": Kind("colour", "Saturation", "saturation[:LOW-HIGH]"),
    "colour": Kind("colour", "Colour", "colour:#RRGGBB[/WIDTH]"),
    "edges": Kind("edges", "Edges", "edges[:SCALE]"),
    "motion": Kind("motion", "Moving", "motion[:SPEED]"),
    "background": Kind("background", "Foreground", "background[:SECONDS]"),
    "mask": Kind("mask", "Mask", "mask:PATH"),
    "labels": Kind("labels", "Labels", "labels:PATH[:NUMBER]"),
    "segment": Kind("segment", "Segment", "segment:CLASS|kmeans|grabcut"),
    "audio": Kind("audio", "Loudness", "audio[:bass|mid|treble|LOW-HIGH]"),
}


def field_class(name: str) -> type[Field]:
    """Return the class of the named field. Raises `UserError` for an unknown one."""
    kind = FIELDS.get(name)
    if kind is None:
        usages = ", ".join(kind.usage for kind in FIELDS.values())
        raise UserError(f"unknown control {name!r}: use {usages}")
    module = importlib.import_module(f"ncavideo.control.{kind.module}")
    found: type[Field] = getattr(module, kind.name)
    return found


def make_field(spec: ControlSpec, context: Context) -> Field:
    """Return the field that `spec` names, without its options.

    Raises `UserError` for an unknown control, or an argument that it cannot use.
    """
    return field_class(spec.name).parse(spec.argument, context)
