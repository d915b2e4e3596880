"""All controls of a render together: from a frame to the expression of every rule."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ncavideo.control import FIELDS, field_class, make_field
from ncavideo.control.field import Context, DeviceView, View
from ncavideo.control.luminance import Luminance
from ncavideo.control.modifiers import ModifiedField
from ncavideo.control.sharing import Constant, PerRule, Ramp, Sharing, fitted
from ncavideo.control.spec import ControlSpec, parse_control
from ncavideo.util.errors import UserError
from ncavideo.util.state import Stateful

if TYPE_CHECKING:
    from jaxtyping import Float32
    from torch import Tensor

OFF = "off"  # the control of rules that should be nowhere
HARDLY = 0.05  # an expression that never passes this was not asked for
CONTESTED = 0.2  # share of all cells that several rules may ask for without a note


class Driver(Stateful):
    """Maps views to the expression `[rules, h, w]`.

    A control with a rule's name drives that rule. One without shares out, between the rules that
    have none, what those leave over; by default that is `luminance`, or everything if only one
    rule is left. Raises `UserError` for controls that cannot be.
    """

    state_attributes = ("_peaks",)
    parts = ("_fields", "_sharing")

    def __init__(self, rules: Sequence[str], controls: Sequence[str], context: Context) -> None:
        self._rules = tuple(rules)
        own, shared = _sorted_out(self._rules, [parse_control(text) for text in controls])
        rest = [rule for rule in self._rules if rule not in own]
        self._own = [self._rules.index(rule) for rule in own]
        self._rest = [self._rules.index(rule) for rule in rest]
        self._labels = [own[r].label if r in own else "" for r in self._rules]
        self._fields = PerRule([ModifiedField(s, make_field(s, context)) for s in own.values()])
        self._sharing = _sharing(shared, len(rest), alone=not own, context=context)
        self.needs_motion = self._fields.needs_motion or self._sharing.needs_motion
        self.covers = not own and self._sharing.covers  # the weights sum to 1, without strengths
        self._peaks = np.zeros(len(self._rules))

    def weights(
        self,
        view: View,
        contrast: float | None = None,
        strengths: Mapping[str, float] | None = None,
    ) -> Float32[np.ndarray, "rules h w"]:
        """Return the expression: weights >= 0 that sum to at most 1.

        `strengths`: numbers that rules' weights are multiplied by; what they leave over stays
        uncovered.
        """
        if self._own:
            weights = np.zeros((len(self._rules), *view.luma.shape), np.float32)
            wanted = self._fields.weights(view)
            weights[self._own] = wanted
            if self._rest:
                left = np.maximum(1 - wanted.sum(0), 0)
                weights[self._rest] = self._sharing.weights(view, contrast) * left
        else:
            weights = self._sharing.weights(view, contrast)
        for rule, strength in (strengths or {}).items():
            weights[self._rules.index(rule)] *= np.float32(strength)
        weights = fitted(weights) if strengths else weights
        self._peaks = np.maximum(self._peaks, weights.max((1, 2)))
        return weights

    def device_weights(
        self,
        view: DeviceView,
        contrast: float | None = None,
        strengths: Mapping[str, float] | None = None,
    ) -> tuple[Tensor, float]:
        """Return what `weights` does, on the view's device, and the least sum of any cell."""
        import torch

        from ncavideo.control.device_sharing import fitted as fitted_on_device

        weights = view.luma.new_zeros((len(self._rules), *view.luma.shape))
        left: Tensor | float = 1.0
        if self._own:
            wanted = self._fields.device_weights(view)
            for index, weight in zip(self._own, wanted, strict=True):
                weights[index] = weight
            left = (1 - wanted.sum(0)).clamp(min=0)
        if self._rest:
            shared = self._sharing.device_weights(view, contrast) * left
            for index, weight in zip(self._rest, shared, strict=True):
                weights[index] = weight
        for rule, strength in (strengths or {}).items():
            weights[self._rules.index(rule)] *= strength
        weights = fitted_on_device(weights) if strengths else weights
        # In one download: each waits for the device.
        found = torch.cat([weights.amax((1, 2)), weights.sum(0).amin()[None]]).cpu().numpy()
        self._peaks = np.maximum(self._peaks, found[:-1])
        return weights, float(found[-1])

    def notes(self) -> list[str]:
        """Return, after the last frame, sentences that the user should read."""
        notes = self._fields.notes() + self._sharing.notes()
        for rule, peak, label in zip(self._rules, self._peaks, self._labels, strict=True):
            if peak < HARDLY:
                cause = f"its control {label}" if label else "the control"
                notes.append(f"{rule} is nowhere to be seen: {cause} never rose above {HARDLY:g}")
        if self._fields.contested > CONTESTED:
            names = " and ".join(self._rules[index] for index in self._own)
            notes.append(
                f"the controls of {names} ask for the same places"
                f" ({self._fields.contested:.0%} of the picture): they share them"
            )
        return notes

    def close(self) -> None:
        """Let go of files."""
        self._fields.close()
        self._sharing.close()


def _sorted_out(
    rules: tuple[str, ...], specs: list[ControlSpec]
) -> tuple[dict[str, ControlSpec], ControlSpec | None]:
    """Return the controls of single rules, and the one for all others."""
    own: dict[str, ControlSpec] = {}
    shared: ControlSpec | None = None
    for spec in specs:
        if spec.rule is None:
            if shared is not None:
                raise UserError(
                    f"{shared.label} and {spec.label} are both to drive all rules: give one of them"
                    f" to a rule, as --control {rules[0]}={spec.label}"
                )
            shared = spec
            continue
        if spec.rule not in rules:
            near = difflib.get_close_matches(spec.rule, rules, 1) or list(rules)
            raise UserError(
                f"--control {spec.rule}={spec.label} drives a rule that is not in --rules: did you"
                f" mean {' or '.join(near)}?"
            )
        if spec.rule in own:
            raise UserError(f"{spec.rule} has two controls: {own[spec.rule].label}, {spec.label}")
        own[spec.rule] = spec
    if shared is not None and len(own) == len(rules):
        raise UserError(f"every rule has a control of its own: nothing is left for {shared.label}")
    return own, shared


def _sharing(spec: ControlSpec | None, count: int, *, alone: bool, context: Context) -> Sharing:
    """Return what shares out the rest between `count` rules; `alone`: the rest is everything."""
    if spec is None:
        return Luminance(count) if alone or count > 1 else Constant(count, 1)
    if spec.name == OFF:
        if alone:
            raise UserError("--control off leaves every rule off: name a control for one of them")
        return Constant(count, 0)
    if spec.name == "luminance" and not spec.argument:
        return Luminance(count, spec)
    if spec.name not in FIELDS:
        field_class(spec.name)  # says so
    parts = field_class(spec.name).split(spec.argument, count)
    if parts is None:
        return Ramp(ModifiedField(spec, make_field(spec, context)), count)
    own = [ControlSpec(None, spec.name, part) for part in parts]
    return PerRule([ModifiedField(spec, make_field(part, context)) for part in own])
