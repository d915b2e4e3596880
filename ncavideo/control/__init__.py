"""Controls by name: what in a source frame drives the expression."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ncavideo.errors import UserError

if TYPE_CHECKING:
    from ncavideo.control.base import Control

CONTROLS = ("luminance", "mask:PATH")

# Steep enough that under a tenth of a typical frame is in between two rules.
DEFAULT_CONTRAST = 6.0


def make_control(spec: str, count: int, contrast: float | None) -> Control:
    """Return the control that `spec` names, for `count` rules.

    `contrast` None takes the control's own default: steep for luminance, linear for masks, whose
    greys were painted on purpose. Raises `UserError` for an unknown control.
    """
    name, _, argument = spec.partition(":")
    if name == "luminance" and not argument:
        from ncavideo.control.luminance import Luminance

        return Luminance(count, DEFAULT_CONTRAST if contrast is None else contrast)
    if name == "mask":
        from ncavideo.control.mask import Mask

        if not argument:
            raise UserError("the mask control needs a file: --control mask:PATH")
        return Mask(count, 1.0 if contrast is None else contrast, Path(argument))
    raise UserError(f"unknown control {spec!r}: use {' or '.join(CONTROLS)}")
