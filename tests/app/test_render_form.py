"""The Render tab's form and looks, without a browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ncavideo.app.look_form import form_of
from ncavideo.app.render_form import (
    AS_ALL,
    CONTROLS,
    FIELD_CONTROLS,
    FORMATS,
    OWN_CONTROLS,
    asked_options,
    output_name,
    shown_options,
)
from ncavideo.control.spec import parse_control
from ncavideo.nca.catalog import presets
from ncavideo.rendering.command_line import render_command
from ncavideo.rendering.look_file import load_look, save_look
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow

LOOKS = Path(__file__).parents[2] / "examples" / "looks"
MASK = Path("/secret/session/mask-1/a mask.png")


def form(**changes: Any) -> dict[str, Any]:
    """The form as it is when the page has been opened."""
    return {
        "rules": ["fire", "moss"], "control": "luminance", "own": [AS_ALL] * 8, "light": 1,
        "shade": 1, "detail": 0.4, "opacity": 1, "by_brightness": False, "contrast": 0,
        "blend": "normal", "keep": "none", "matte": False, "steps_per_second": 0, "keyframes": "",
        "opacity_control": "",
        "light_control": "", "flow": False,
        "on_cut": "keep", "steps": 0, "upscale": "auto", "edge": "reflect",
        "quality": "standard", "cell": 0,
        "warmup": 240, "seed": 0, "begin": 0, "end": 0, "before": 0, "after": 0,
        "loop": 0, "format": "As the clip", **changes,
    }  # fmt: skip


def test_an_untouched_form_asks_for_the_defaults() -> None:
    options = asked_options(form(), "elements", None)
    assert options == RenderOptions(("fire", "moss"), ruleset="elements")
    assert render_command("a.mp4", shown_options(options, presets())) == (
        "ncavideo render a.mp4 --rules fire,moss"
    )
    assert output_name(Path("a.mov"), options, "As the clip") == "a.fire-moss.mov"
    assert output_name(Path("a.mov"), options, "WebM (VP9)") == "a.fire-moss.webm"


@pytest.mark.parametrize(
    ("shade", "detail", "asked"),
    [(1, 0.4, None), (0.5, 0.4, None), (0.2, 0.2, None), (0.2, 0.4, 0.4), (0.5, 0, 0)],
)
def test_detail_that_goes_with_the_shading_is_not_asked_for(
    shade: float, detail: float, asked: float | None
) -> None:
    assert asked_options(form(shade=shade, detail=detail), "elements", None).detail == asked


def test_every_choice_is_a_control_that_there_is(tmp_path: Path) -> None:
    for texts in (CONTROLS, OWN_CONTROLS, FIELD_CONTROLS):
        for text in texts.values():
            asked_options(form(control=text), "elements", MASK)
            parse_control(text)
    for name in FORMATS:
        asked_options(form(format=name), "elements", None)


def test_what_is_asked_for_arrives() -> None:
    values = form(
        own=["mask", *[AS_ALL] * 7], contrast=3, steps=5.0, begin=1, end=2.5, seed=None,
        warmup=None, before=2, after=0.5,
    )  # fmt: skip
    options = asked_options(values, "elements", MASK)
    assert options.control == (f"fire=mask:{MASK}",)
    assert (options.contrast, options.steps, type(options.steps)) == (3.0, 5, int)
    assert (options.start, options.duration, options.seed, options.warmup) == (1.0, 1.5, 0, 240)
    assert (options.before, options.after, options.loop) == (2.0, 0.5, None)
    assert asked_options(form(loop=0.8), "elements", None).loop == 0.8
    command = render_command("a.mp4", shown_options(options, presets()))
    assert "'fire=mask:a mask.png'" in command and "secret" not in command


def test_a_rule_may_be_called_like_a_control() -> None:
    values = form(rules=["damask", "mask"], own=[" mask", "mask , blur=2", *[AS_ALL] * 6])
    options = asked_options(values, "elements", MASK)
    assert options.control == (f"damask=mask:{MASK}", f"mask=mask:{MASK},blur=2")
    assert shown_options(replace(options, ruleset=None), {}).control == (
        "damask=mask:a mask.png",
        "mask=mask:a mask.png,blur=2",
    )


@pytest.mark.parametrize(
    "text",
    ["edges", "fire=edges:2,smooth=0.15,blur=1.5,weight=1.3", "mask:a=b, c.png,invert", "a=mask"],
)
def test_a_control_is_written_as_it_is_read(text: str) -> None:
    spec = parse_control(text)
    assert parse_control(str(spec)) == spec


@pytest.mark.parametrize("look", sorted(LOOKS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_form_shows_every_look(look: Path, tmp_path: Path) -> None:
    asked = load_look(look)
    values, ruleset = form_of(asked, list(presets()))
    values["own"] = [values.pop(f"own-{index}") for index in range(8)]
    assert ruleset == asked.get("ruleset", "")
    options = asked_options(form(**values), ruleset or "elements", None)
    assert options == RenderOptions(**{"ruleset": "elements", **asked})
    # And back into a file.
    save_look(tmp_path / "look.toml", replace(options, ruleset=ruleset or None))
    assert RenderOptions(**load_look(tmp_path / "look.toml")) == RenderOptions(**asked)


def test_a_look_of_everything() -> None:
    look: dict[str, Any] = {
        "rules": ("moss", "fire"), "ruleset": "/x/mine.safetensors", "matte": True,
        "steps_per_second": 50.0,
        "control": ("hue:20-60,weight=0.5", "fire=mask:/x/m.png,blur=3"), "cell": 3,
        "keyframes": ("opacity@0=0,2=1", "fire@0=1,1=0"), "opacity_control": "audio:bass",
    }  # fmt: skip
    values, ruleset = form_of(look, ["elements", "mine"])
    assert (ruleset, values["own-0"], values["own-1"]) == ("mine", AS_ALL, "mask,blur=3")
    values["own"] = [values.pop(f"own-{index}") for index in range(8)]
    options = asked_options(form(**values), "mine", MASK)
    mask = ("hue:20-60,weight=0.5", f"fire=mask:{MASK},blur=3")
    assert options == RenderOptions(**{**look, "ruleset": "mine", "control": mask})


@pytest.mark.parametrize(
    ("look", "says"),
    [
        ({}, "names no rules"),
        ({"rules": ("a",), "ruleset": "/x/b.safetensors"}, "is a file"),
        ({"rules": ("a",), "control": ("b=edges",)}, "none of its rules"),
        ({"rules": ("a",), "control": ("a=edges", "a=motion")}, "two controls for a"),
        ({"rules": ("a",), "shade": 3.0}, "between"),
        ({"rules": tuple("abcdefghi")}, "more than 8"),
    ],
)
def test_a_look_that_the_form_cannot_show(look: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        form_of(look, ["elements"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rules": []}, "at least one rule"),
        ({"rules": None}, "at least one rule"),
        ({"control": "mask"}, "drop a picture"),
        ({"control": "mask:/etc/passwd"}, "command line"),
        ({"own": ["labels:/etc/passwd"]}, "command line"),
        ({"light_control": "segment:car@/tmp/weights.pth"}, "command line"),
        ({"begin": 3, "end": 2}, "must come after"),
        ({"before": 1, "loop": 0.5}, "leave out --before and --after"),
        ({"steps": 2.5}, "whole number"),
        ({"seed": -1}, "between"),
    ],
)
def test_what_cannot_be_is_one_sentence(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        asked_options(form(**changes), "elements", None)
