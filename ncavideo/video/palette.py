"""GIF frames: each gets the 256 colours that serve it best."""

from __future__ import annotations

from fractions import Fraction

import av
import av.filter


class Palette:
    """Maps RGB frames to palette frames through FFmpeg's palettegen and paletteuse.

    One palette a frame, so that memory does not grow with the clip and no scene has to make do
    with another's colours.
    """

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the `pal8` frame for an RGB frame."""
        if self._graph is None:
            self._graph = self._build(frame)
        self._graph.push(frame)
        mapped = self._graph.pull()
        assert isinstance(mapped, av.VideoFrame)
        return mapped

    @staticmethod
    def _build(frame: av.VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
        )
        split = graph.add("split", "2")
        generate = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
        use = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
        sink = graph.add("buffersink")
        source.link_to(split)
        split.link_to(generate, 0, 0)
        split.link_to(use, 1, 0)
        generate.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        return graph
