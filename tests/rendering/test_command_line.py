"""The command line that asks for the same as given options."""

from __future__ import annotations

import shlex
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ncavideo.cli.main import main
from ncavideo.rendering.command_line import option_words, render_command
from ncavideo.rendering.option_table import table
from ncavideo.rendering.options import RenderOptions

TABLE = table(RenderOptions)


def number(name: str, kind: type) -> st.SearchStrategy[Any]:
    low, high = TABLE[name].bounds or (0, 1)
    if kind is int:
        return st.integers(max(int(low), 1), int(high))
    return st.floats(low, high, allow_nan=False)


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("C",)), min_size=1
)
names = st.sampled_from(("fire", "moss", "water", "a-b"))
controls = st.sampled_from(("motion", "fire=edges:2,blur=1", "mask:a b'c.png"))
asked = st.builds(
    RenderOptions,
    rules=st.lists(names, min_size=1, unique=True).map(tuple),
    ruleset=some(texts.filter(lambda text: not text.startswith("-"))),
    by_brightness=st.booleans(),
    control=st.lists(controls).map(tuple),
    contrast=some(number("contrast", float)),
    light=number("light", float),
    light_control=some(st.just("audio")),
    shade=number("shade", float),
    detail=some(number("detail", float)),
    blend=st.sampled_from(TABLE["blend"].choices),
    opacity=number("opacity", float),
    matte=st.booleans(),
    flow=st.booleans(),
    on_cut=st.sampled_from(TABLE["on_cut"].choices),
    steps=some(number("steps", int)),
    keyframes=st.lists(st.sampled_from(("opacity@0=0,5=1", "shade@0=0.5,2=1"))).map(
        lambda keys: tuple(dict.fromkeys(keys))
    ),
    quality=st.sampled_from(TABLE["quality"].choices),
    cell=some(number("cell", int)),
    warmup=number("warmup", int),
    seed=st.integers(0, 2**32 - 1),
    edge=st.sampled_from(TABLE["edge"].choices),
    start=some(number("start", float)),
    duration=some(number("duration", float)),
    codec=some(st.sampled_from(("h264", "ffv1"))),
    crf=some(number("crf", float)),
    overwrite=st.booleans(),
)  # fmt: skip


@given(asked)
def test_its_options_are_parsed_as_what_they_were_made_of(options: RenderOptions) -> None:
    with patch("ncavideo.rendering.render.render", side_effect=KeyboardInterrupt) as render:
        CliRunner().invoke(main, ["render", "in.mp4", *option_words(options)])
    assert render.call_args.args[2] == options


def test_only_what_differs_is_written_and_words_are_quoted() -> None:
    assert (
        render_command("in.mp4", RenderOptions(("fire",))) == "ncavideo render in.mp4 --rules fire"
    )
    command = render_command("-my clip.mp4", RenderOptions(("fire",), shade=0.25), "o.webm")
    expected = ["render", "./-my clip.mp4", "-o", "o.webm", "--rules", "fire", "--shade", "0.25"]
    assert shlex.split(command) == ["ncavideo", *expected]
