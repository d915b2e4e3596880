"""What every segmenter promises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from segmented_frames import disc, frame_view, three_stripes

from ncavideo.control.field import View
from ncavideo.control.segmenters import Segmenter
from ncavideo.control.segmenters.grabcut import GrabCut, parse_box
from ncavideo.control.segmenters.hub_model import HubModel
from ncavideo.control.segmenters.kmeans import KMeans
from ncavideo.control.segmenters.semantic import Semantic

pytestmark = pytest.mark.slow


@pytest.fixture(params=["kmeans:2", "grabcut", "torchvision", "hub"])
def segmenter_maker(request: pytest.FixtureRequest) -> Callable[[], Segmenter]:
    if request.param == "kmeans:2":
        return lambda: KMeans(2)
    if request.param == "grabcut":
        return lambda: GrabCut(parse_box(""))
    if request.param == "torchvision":
        weights = request.getfixturevalue("lraspp")
        return lambda: Semantic.parse(str(weights))
    folder = request.getfixturevalue("segformer")
    return lambda: HubModel(str(folder))


class TestSegmenterContract:
    @staticmethod
    def views() -> list[View]:
        found = []
        for index in range(4):
            picture = three_stripes(index)
            picture[disc(40 + 4 * index, 36, 14)] = 0.9, 0.15, 0.1
            found.append(frame_view(picture, index / 25, grid=(24, 32)))
        return found

    def test_parts_are_float32_from_0_to_1_on_the_grid(
        self, segmenter_maker: Callable[[], Segmenter]
    ) -> None:
        segmenter = segmenter_maker()
        for view in self.views():
            parts = segmenter(view)
            assert parts.ndim == 3 and parts.shape[1:] == (24, 32) and parts.dtype == np.float32
            assert parts.min() >= 0 and parts.max() <= 1 + 1e-6
            assert parts.sum(0).max() <= 1 + 1e-4

    def test_a_restored_segmenter_continues_bit_for_bit(
        self, segmenter_maker: Callable[[], Segmenter]
    ) -> None:
        through, views = segmenter_maker(), self.views()
        for view in views[:2]:
            through(view)
        assert not through.needs_replay
        state = through.state_dict()
        rest = [through(view).copy() for view in views[2:]]
        resumed = segmenter_maker()
        resumed.load_state_dict(state)
        for view, wanted in zip(views[2:], rest, strict=True):
            np.testing.assert_array_equal(resumed(view), wanted)
