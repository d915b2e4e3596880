"""Controls as users write them."""

from __future__ import annotations

import pytest
from driven_views import RULES
from hypothesis import given, settings
from hypothesis import strategies as st

from ncavideo.control.spec import ControlSpec, parse_control


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("luminance", ControlSpec(None, "luminance")),
        ("fire=motion", ControlSpec("fire", "motion")),
        ("fire=mask:a,b=c.png,invert", ControlSpec("fire", "mask", "a,b=c.png", invert=True)),
        ("mask:a=b.png", ControlSpec(None, "mask", "a=b.png")),
        ("fire=segment:person,smooth=0.5,weight=2,blur=3",
         ControlSpec("fire", "segment", "person", 2.0, False, 0.5, 3.0)),
        ("segment:grabcut:0,0,1,1", ControlSpec(None, "segment", "grabcut:0,0,1,1")),
    ],
)  # fmt: skip
def test_controls_are_parsed(text: str, expected: ControlSpec) -> None:
    assert parse_control(text) == expected


@given(
    rule=st.none() | st.sampled_from(RULES),
    argument=st.text("abc/.-_ =", max_size=12).map(str.strip),
    invert=st.booleans(),
    smooth=st.integers(0, 60),
)
@settings(max_examples=60)
def test_options_are_found_behind_any_argument(
    rule: str | None, argument: str, invert: bool, smooth: int
) -> None:
    text = f"{rule}=" if rule else ""
    text += f"mask:{argument},smooth={smooth}" + (",invert" if invert else "")
    assert parse_control(text) == ControlSpec(rule, "mask", argument, 1, invert, smooth, 0)
