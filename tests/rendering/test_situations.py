"""Clips of every kind through the real render, compared with ffprobe: each in one container.

`tests/release/every_container.py` renders each into all of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from situations import CONTAINERS, SITUATIONS, Situation, differences

from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.render import render

pytestmark = pytest.mark.slow

QUICK = RenderOptions(("fire", "moss"), steps=1, warmup=1, cell=8)
TURNS = [(s, CONTAINERS[number % len(CONTAINERS)]) for number, s in enumerate(SITUATIONS)]


@pytest.mark.parametrize(
    ("situation", "suffix"), TURNS, ids=[f"{s.name} as {suffix[1:]}" for s, suffix in TURNS]
)
def test_a_render_is_what_players_show_of_the_clip(
    situation: Situation, suffix: str, tmp_path: Path
) -> None:
    clip, out = tmp_path / situation.name, tmp_path / f"out{suffix}"
    situation.make(clip)
    report = render(clip, out, QUICK)
    assert report.loss is None
    assert differences(clip, out, situation.expected, report.notes) == []
