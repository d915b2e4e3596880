"""The composite of a rule set with a decoder, and its way through a render."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_composite import composed

from ncavideo.composite.blend import Look
from ncavideo.composite.composite import Composite
from ncavideo.control.field import make_view
from ncavideo.control.levels import ClipRange
from ncavideo.nca.decoder import Decoder
from ncavideo.nca.decoder_weights import DecoderWeights
from ncavideo.nca.model import Edge
from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions

MakeDecoder = Callable[..., DecoderWeights]
ENDS = (0.1, 0.8)


def drawn(weights: DecoderWeights, state: np.ndarray, cell: int, edge: Edge) -> np.ndarray:
    """What the decoder's plain definition draws, before it is clipped."""
    with torch.no_grad():
        rgb = Decoder.of(weights)(torch.from_numpy(state).permute(2, 0, 1)[None], cell, edge)[0]
    return np.asarray(rgb.permute(1, 2, 0))


@given(
    shade=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    cell=st.integers(1, 9),
    grid=st.tuples(st.integers(2, 20), st.integers(2, 20)),
    cut=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    edge=st.sampled_from(["wrap", "reflect"]),
    kind=st.sampled_from([np.uint8, np.uint16]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=30, deadline=None)
def test_the_kernel_is_its_plain_definition(
    make_decoder: MakeDecoder,
    shade: float,
    cell: int,
    grid: tuple[int, int],
    cut: tuple[int, int],
    edge: Edge,
    kind: type,
    seed: int,
) -> None:
    """At most one of 255 levels apart, and that in hardly any place; the last cells may be cut."""
    draw = np.random.default_rng(seed)
    weights = make_decoder(seed, channels=5, hidden=10)
    height, width = (n * cell - min(c, cell - 1) for n, c in zip(grid, cut, strict=True))
    most = np.iinfo(kind).max
    source: np.ndarray = draw.integers(0, most, (height, width, 3), endpoint=True).astype(kind)
    state = draw.normal(size=(*grid, 5)).astype(np.float32) / 3
    light = draw.random(grid).astype(np.float32)
    view = make_view(source, *grid, 0.0)
    out = Composite((width, height), cell, *ENDS, Look(), weights, edge)(
        state, light, None, view, source, shade
    )
    texture = drawn(weights, state, 1, edge).clip(0, 1)
    picture = drawn(weights, state, cell, edge)
    expected = composed(texture, light, view.luma, source, cell, shade, "cubic", ENDS, picture)
    level = 1 if kind is np.uint8 else 257
    gaps = np.abs(out.astype(np.int64) - expected.astype(np.int64))
    assert gaps.max() <= level
    assert (gaps > level / 8).mean() < 0.02


@pytest.mark.parametrize("look", [Look(matte=True), Look(blend="screen"), Look(keep="chroma")])
def test_every_look_lays_it_over_the_source(make_decoder: MakeDecoder, look: Look) -> None:
    weights, draw = make_decoder(channels=5), np.random.default_rng(0)
    source = draw.integers(0, 255, (48, 72, 3)).astype(np.uint8)
    state = draw.normal(size=(8, 12, 5)).astype(np.float32) / 3
    light, view = np.full((8, 12), 0.5, np.float32), make_view(source, 8, 12, 0.0)
    pictures = [
        Composite((72, 48), 6, *ENDS, kind, weights)(state, light, None, view, source, 0.5)
        for kind in (Look(), look)
    ]
    if look.matte:
        assert (pictures[0] == pictures[1][..., :3]).all()
    else:
        assert np.abs(pictures[0].astype(int) - pictures[1]).mean() > 5


def test_a_render_draws_with_it(
    make_ruleset: Callable[..., RuleSet], make_decoder: MakeDecoder
) -> None:
    plain = make_ruleset(rules=("fire", "moss"))
    weights = make_decoder(channels=plain.channels)
    source = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    options = RenderOptions(rules=("fire", "moss"), warmup=40, shade=0.0, light=1.0)
    frames = []
    for ruleset in (plain, replace(plain, decoder=weights)):
        renderer = FrameRenderer(ruleset, (320, 240), ClipRange(0.0, 1.0), options)
        frames.append(renderer.render(source, 0.0))
        cells = renderer.cells
        state = renderer.grid().state.transpose(1, 2, 0)
        renderer.close()
    assert cells == (107, 80)  # of 3 pixels: more than the frame is wide
    whole = drawn(weights, state.copy(), 3, "reflect")[:, :320]
    expected = (whole.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    assert np.abs(frames[1].astype(int) - expected).max() <= 1
    assert np.abs(frames[0].astype(int) - frames[1]).mean() > 5
