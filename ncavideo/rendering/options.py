"""What a render is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ncavideo.rendering.keyframes import Curve, parse_keys
from ncavideo.util.errors import UserError

if TYPE_CHECKING:
    from ncavideo.nca.model import Edge

WARM_UP_STEPS = 240
STEPS, FLOW_STEPS = 8, 4  # a frame
# The least and most of each number, and so the values that keyframes may take.
RANGES: dict[str, tuple[float, float]] = {
    "contrast": (0.05, 1000),
    "light": (0, 1),
    "shade": (0, 1),
    "opacity": (0, 1),
    "steps": (0, 1000),
    "tempo": (0, 100_000),
    "cell": (1, 256),
    "warmup": (0, 100_000),
    "seed": (0, 2**32 - 1),
    "start": (0, 1e9),
    "duration": (1e-6, 1e9),
    "before": (0, 3600),
    "after": (0, 3600),
    "loop": (0.04, 60),
    "crf": (0, 63),
}
KEYED = ("contrast", "light", "shade", "opacity", "steps", "tempo")
CHOICES = {
    "blend": ("normal", "multiply", "screen", "overlay", "soft-light", "luminosity"),
    "keep": ("none", "luminance", "chroma"),
    "upscale": ("auto", "cubic", "sharp"),
    "on_cut": ("keep", "restart"),
    "edge": ("reflect", "wrap"),
}


@dataclass(frozen=True)
class RenderOptions:
    """What a render is asked for.

    `by_brightness`: order the rules by their own brightness; `control`: what drives them, none for
    `luminance`; `contrast` None for the control's own; `light`, `shade` and `opacity` 0..1, the
    first and the last times what `light_control` and `opacity_control` say; `steps` a frame (None
    for 8, or 4 with `flow`), or `tempo` steps a second; `keys`: keyframes; `flow`: the grid is
    carried along with what moves;
    `cell`: pixels a cell, None for about 360 rows of cells; `warmup` steps before the first frame;
    `before` and `after`: seconds for which the first and the last frame are held; `loop`: seconds
    in which the end becomes the beginning.
    """

    rules: tuple[str, ...]
    ruleset: str | None = None
    by_brightness: bool = False
    control: tuple[str, ...] = ()
    contrast: float | None = None
    light: float = 1.0
    light_control: str | None = None
    shade: float = 0.5
    blend: str = "normal"
    opacity: float = 1.0
    opacity_control: str | None = None
    keep: str = "none"
    matte: bool = False
    upscale: str = "auto"
    flow: bool = False
    on_cut: str = "keep"
    steps: int | None = None
    tempo: float | None = None
    keys: tuple[str, ...] = ()
    cell: int | None = None
    warmup: int = WARM_UP_STEPS
    seed: int = 0
    edge: Edge = "reflect"
    show_control: bool = False
    start: float | None = None
    duration: float | None = None
    before: float = 0.0
    after: float = 0.0
    loop: float | None = None
    codec: str | None = None
    crf: float | None = None
    pix_fmt: str | None = None
    device: str = "auto"
    engine: str = "auto"
    overwrite: bool = False
    fresh: bool = False

    def __post_init__(self) -> None:
        """Raise `UserError` for a value out of range."""
        if not self.rules:
            raise UserError("name at least one rule: --rules fire,moss")
        for rule in self.rules:
            if self.rules.count(rule) > 1:
                raise UserError(f"the rule {rule!r} is named twice")
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UserError(
                    f"{flag(name)} must lie between {low:g} and {high:g}, not {value:g}"
                )
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise UserError(f"{flag(name)} must be {' or '.join(choices)}, not {value!r}")
        if self.steps == 0:
            raise UserError(
                "--steps must be 1 or more; --key steps@0=0 lets the texture stand still"
            )
        if self.loop is not None and (self.before or self.after):
            raise UserError(
                "--loop has no beginning or end to hold: leave out --before and --after"
            )
        if self.matte and self.keep != "none":
            raise UserError("--matte leaves the source out, so there is nothing to --keep of it")
        self._check_keys()

    def _check_keys(self) -> None:
        for name, curve in self.curves.items():
            if name not in KEYED and name not in self.rules:
                raise UserError(
                    f"--key {name}@... names nothing that can change over time: use"
                    f" {', '.join(KEYED)}, or a rule"
                )
            low, high = RANGES.get(name, (0, 1))
            if not (low <= min(curve.values) and max(curve.values) <= high):
                raise UserError(f"--key {name}@... must lie between {low:g} and {high:g}")
        if "steps" in self.curves and (self.tempo is not None or "tempo" in self.curves):
            raise UserError("give keyframes for steps or a tempo, not both")

    @cached_property
    def curves(self) -> Mapping[str, Curve]:
        """The keyframes by what they change."""
        return parse_keys(self.keys)

    def at(self, name: str, time: float) -> float | None:
        """Return the number `name` at `time`, in seconds since the render's beginning."""
        if name in self.curves:
            return self.curves[name].at(time)
        value: float | None = getattr(self, name)
        if name == "steps" and value is None:
            # What is carried along needs less life of its own, and flickers less with it.
            return FLOW_STEPS if self.flow else STEPS
        return value

    def strengths(self, time: float) -> dict[str, float]:
        """Return what the keyframes of rules multiply their weights by at `time`."""
        return {rule: self.curves[rule].at(time) for rule in self.rules if rule in self.curves}


def flag(name: str) -> str:
    """Return an option's name as it is written on the command line."""
    return "--" + name.replace("_", "-")
