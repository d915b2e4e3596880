"""What a render is asked for: the one table of its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ncavideo.composite.shading import detail_of
from ncavideo.nca.engines import ENGINES
from ncavideo.rendering.keyframes import Curve, parse_keyframes, with_current_names
from ncavideo.rendering.option_table import option, plain, table, takes_former_names
from ncavideo.rendering.quality import QUALITIES, STANDARD
from ncavideo.util.device import DEVICES
from ncavideo.util.errors import UserError
from ncavideo.util.nearest import did_you_mean
from ncavideo.video.fields import DEINTERLACE, FIELDS
from ncavideo.video.pipes import DEFAULT, FORMATS

if TYPE_CHECKING:
    from ncavideo.nca.model import Edge

# Short names, which `video.codecs` has with their encoders; it loads FFmpeg, and the help must not.
CODEC_NAMES = ("h264", "h265", "vp9", "av1", "prores", "ffv1")
# The headings under which `--help` and the documentation list the options.
RULES, LIGHT, COMPOSITING, TIME = "Rules", "Light", "Compositing", "Motion and time"
GRID, CLIP, ENCODING, RUN = "Grid", "Part of the clip", "Encoding", "Machine and run"
STREAMS = "Standard input and output"
FIELD = "NAME[:ARGUMENT]"
PACES = ("steps", "steps_per_second")  # a render has one of them


@takes_former_names
@dataclass(frozen=True)
class RenderOptions:
    """What a render is asked for.

    Each field carries its help, range, choices and default, what it belongs to, and whether it
    can have keyframes: the command line, look files, batch lists, the window, keyframes, the
    checkpoint's key and the documentation are made from them. A field's order is its place in
    `--help`. Raises `UserError` for a value out of range, and for options that exclude each other.
    """

    rules: tuple[str, ...] = option(
        MISSING,
        "Rules, from the brightest parts to the darkest. auto:A,B: the brighter rule comes first.",
        RULES,
        metavar="A,B,...",
    )
    ruleset: str | None = option(
        None,
        "Rule set that the rules come from.",
        RULES,
        metavar="FILE|NAME|hf://USER/REPO",
        automatic="the preset that has the rules",
    )
    by_brightness: bool = option(
        False, "Order the rules by their own brightness: --rules auto:A,B.", RULES, flag=None
    )
    control: tuple[str, ...] = option(
        (),
        "Control that drives all rules, or one of them. May be repeated.",
        RULES,
        metavar="[RULE=]NAME[:ARGUMENT][,OPTION]",
        automatic="luminance",
    )
    contrast: float | None = option(
        None,
        "Steepness of the transitions between rules; 1 is a linear ramp.",
        RULES,
        bounds=(0.05, 1000),
        keyed=True,
        automatic="6 for luminance, 1 for other controls",
    )
    levels: str | None = option(
        None,
        "Darkest and brightest luminance of the clip, 0 to 1, which the control is stretched to.",
        RULES,
        "file",
        metavar="DARKEST,BRIGHTEST",
        automatic="by frames from all over the clip; on a pipe by its first second",
    )
    light: float = option(
        1.0,
        "Strength with which the source's light drives the texture's.",
        LIGHT,
        bounds=(0, 1),
        keyed=True,
    )
    light_control: str | None = option(
        None, "Control that drives the light.", LIGHT, metavar=FIELD, automatic="luminance"
    )
    shade: float = option(
        1.0,
        "Strength with which the finished texture's brightness is pulled towards that light.",
        LIGHT,
        bounds=(0, 1),
        keyed=True,
    )
    detail: float | None = option(
        None,
        "Strength with which detail of a few cells, as of eyes and letters, is the source's.",
        LIGHT,
        bounds=(0, 1),
        keyed=True,
        automatic="--shade, at most 0.4",
    )
    blend: str = option(
        "normal",
        "Blend mode of the texture over the source.",
        COMPOSITING,
        choices=("normal", "multiply", "screen", "overlay", "soft-light", "luminosity"),
        metavar="MODE",
    )
    opacity: float = option(1.0, "Opacity of the texture.", COMPOSITING, bounds=(0, 1), keyed=True)
    opacity_control: str | None = option(
        None, "Control that modulates the opacity.", COMPOSITING, metavar=FIELD, automatic="none"
    )
    keep: str = option(
        "none",
        "Component of the source's colour that the output keeps.",
        COMPOSITING,
        choices=("none", "luminance", "chroma"),
        metavar="COMPONENT",
    )
    matte: bool = option(
        False,
        "Write the texture alone, with an alpha channel (ProRes, FFV1 or VP9).",
        COMPOSITING,
        needs_file=True,
    )
    upscale: str = option(
        "auto",
        "Interpolation from cells to pixels; auto is sharp for cells above 2 pixels, else cubic.",
        COMPOSITING,
        choices=("auto", "cubic", "sharp"),
        metavar="METHOD",
    )
    flow: bool = option(False, "Warp the texture along the clip's optical flow.", TIME)
    on_cut: str = option(
        "keep",
        "Action at a scene cut: keep the grid or restart it.",
        TIME,
        choices=("keep", "restart"),
        metavar="ACTION",
    )
    steps: int | None = option(
        None,
        "Steps per frame.",
        TIME,
        bounds=(0, 1000),
        keyed=True,
        automatic="8, with --flow 4; in a draft half of that",
    )
    steps_per_second: float | None = option(
        None,
        "Steps per second, instead of --steps.",
        TIME,
        bounds=(0, 100_000),
        keyed=True,
        metavar="STEPS",
        automatic="by --steps",
        former=("tempo",),
    )
    keyframes: tuple[str, ...] = option(
        (),
        "Keyframes of a number or a rule's strength, as opacity@0=0,5=1. May be repeated.",
        TIME,
        metavar="NAME@SECONDS=VALUE,...",
        former=("keys", "key"),
    )
    warmup: int = option(
        240, "Steps before the first frame.", TIME, bounds=(0, 100_000), metavar="STEPS"
    )
    quality: str = option(
        STANDARD,
        "Cells and steps where --cell and --steps do not say: some 180 rows of cells, 360 or 1080;"
        " of cells that a learned decoder draws 120, 240 or 360.",
        GRID,
        choices=tuple(QUALITIES),
        metavar="QUALITY",
    )
    cell: int | None = option(
        None,
        "Side of a cell in pixels.",
        GRID,
        bounds=(1, 256),
        metavar="PIXELS",
        automatic="by --quality: about 360 rows of cells, 120 for a set with a learned decoder",
    )
    seed: int = option(0, "Random seed; each gives another texture.", GRID, bounds=(0, 2**32 - 1))
    edge: Edge = option(
        "reflect",
        "Padding of the grid: neighbours of the cells at its edge.",
        GRID,
        choices=("reflect", "wrap"),
        metavar="PADDING",
    )
    start: float | None = option(
        None,
        "Where in the clip to begin.",
        CLIP,
        "file",
        bounds=(0, 1e9),
        metavar="SECONDS",
        automatic="the clip's beginning",
    )
    duration: float | None = option(
        None,
        "How much of the clip to use.",
        CLIP,
        "file",
        bounds=(1e-6, 1e9),
        metavar="SECONDS",
        automatic="to the clip's end",
    )
    fields: str = option(
        DEINTERLACE,
        "What becomes of interlaced frames: deinterlaced (FFmpeg's bwdif), or kept as they are.",
        CLIP,
        "file",
        choices=FIELDS,
        metavar="ACTION",
    )
    before: float = option(
        0.0,
        "Time for which the first frame is held while the grid runs.",
        CLIP,
        "file",
        bounds=(0, 3600),
        metavar="SECONDS",
    )
    after: float = option(
        0.0,
        "Time for which the last frame is held while the grid runs.",
        CLIP,
        "file",
        bounds=(0, 3600),
        metavar="SECONDS",
    )
    loop: float | None = option(
        None,
        "Length of the transition from the end to the beginning; the output is shorter by it.",
        CLIP,
        "file",
        bounds=(0.04, 60),
        metavar="SECONDS",
        automatic="no loop",
    )
    show_control: bool = option(
        False, "Write the weights of the rules in false colours instead.", ENCODING, "file"
    )
    codec: str | None = option(
        None,
        f"Codec: {', '.join(CODEC_NAMES)}, or the name of an FFmpeg encoder.",
        ENCODING,
        "file",
        automatic="by the output's suffix",
        offers=CODEC_NAMES,
    )
    crf: float | None = option(
        None,
        "Constant rate factor of the encoder; lower is better.",
        ENCODING,
        "file",
        bounds=(0, 63),
        automatic="by the codec",
    )
    pix_fmt: str | None = option(
        None, "Pixel format of the encoder.", ENCODING, "file", automatic="by the source"
    )
    fps: float | None = option(
        None,
        "Frames per second of an input without times of its own (numbered pictures, raw video).",
        STREAMS,
        "file",
        bounds=(1e-3, 1000),
        automatic="25",
    )
    input_size: str | None = option(
        None,
        "Frame size of raw video on standard input, which says that it is raw.",
        STREAMS,
        "pipe",
        metavar="WIDTHxHEIGHT",
        automatic="the input's own",
    )
    input_pix_fmt: str | None = option(
        None,
        "Pixel format of raw video on standard input, by FFmpeg's name.",
        STREAMS,
        "pipe",
        metavar="FORMAT",
        automatic="yuv420p",
    )
    format: str | None = option(
        None,
        "Container on standard output.",
        STREAMS,
        "pipe",
        choices=tuple(FORMATS),
        automatic=DEFAULT,
    )
    device: str = option(
        "auto",
        "Device that the grid runs on: auto, cpu, cuda (a GPU) or mps.",
        RUN,
        "machine",
        offers=DEVICES,
    )
    engine: str = option(
        "auto",
        f"Implementation of the step: auto, {', '.join(ENGINES)}.",
        RUN,
        "machine",
        offers=("auto", *ENGINES),
    )
    overwrite: bool = option(False, "Replace an existing output.", RUN, "run")
    strict_streams: bool = option(
        False,
        "Refuse a clip of which the output cannot hold every stream, before it is rendered.",
        RUN,
        "run",
    )
    fresh: bool = option(False, "Start over instead of resuming from a checkpoint.", RUN, "run")

    def __post_init__(self) -> None:
        """Raise `UserError` for what no render can be asked for."""
        # No rule set has a rule with a capital in its name.
        object.__setattr__(self, "rules", tuple(rule.lower() for rule in self.rules))
        current = tuple(with_current_names(type(self), text, self.rules) for text in self.keyframes)
        object.__setattr__(self, "keyframes", current)
        if not self.rules:
            raise UserError("name at least one rule: --rules fire,moss")
        for rule in self.rules:
            if self.rules.count(rule) > 1:
                raise UserError(f"the rule {rule!r} is named twice")
        for name, entry in table(type(self)).items():
            entry.check(getattr(self, name))
        if self.steps == 0:
            raise UserError(
                "--steps must be 1 or more; --keyframes steps@0=0 lets the texture stand still"
            )
        if self.loop is not None and (self.before or self.after):
            raise UserError(
                "--loop has no beginning or end to hold: leave out --before and --after"
            )
        if self.matte and self.keep != "none":
            raise UserError("--matte leaves the source out, so there is nothing to --keep of it")
        if self.levels is not None:
            # It takes NumPy, which `--help` and completion do without.
            from ncavideo.control.levels import parse_levels

            parse_levels(self.levels)
        self._check_keyframes()

    def _check_keyframes(self) -> None:
        keyed = {name: entry for name, entry in table(type(self)).items() if entry.keyed}
        for name, curve in self.curves.items():
            if name not in keyed and name not in self.rules:
                close = did_you_mean(name, [*keyed, *self.rules])
                raise UserError(
                    f"--keyframes {name}@... names nothing that can change over time{close}: use"
                    f" {', '.join(keyed)}, or a rule"
                )
            low, high = (keyed[name].bounds if name in keyed else None) or (0, 1)
            if not (low <= min(curve.values) and max(curve.values) <= high):
                raise UserError(
                    f"--keyframes {name}@... must lie between {plain(low)} and {plain(high)}"
                )
        if all(getattr(self, name) is not None or name in self.curves for name in PACES):
            raise UserError(
                "give --steps or --steps-per-second, or --keyframes of one of them, not both"
            )

    @cached_property
    def curves(self) -> Mapping[str, Curve]:
        """The keyframes by what they change."""
        return parse_keyframes(self.keyframes)

    def at(self, name: str, time: float) -> float | None:
        """Return the number `name` at `time`, in seconds since the render's beginning."""
        if name in self.curves:
            return self.curves[name].at(time)
        value: float | None = getattr(self, name)
        if name == "steps" and value is None:
            chosen = QUALITIES[self.quality]
            return chosen.flow_steps if self.flow else chosen.steps
        if name == "detail" and value is None:
            return detail_of(self.at("shade", time) or 0)
        return value

    def strengths(self, time: float) -> dict[str, float]:
        """Return what the keyframes of rules multiply their weights by at `time`."""
        return {rule: self.curves[rule].at(time) for rule in self.rules if rule in self.curves}
