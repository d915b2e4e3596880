"""OpenCV has one thread while a frame renderer is open, and its own number afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest

from ncavideo.control.levels import ClipRange
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.opencv_threads import one_opencv_thread


def test_the_last_one_gives_the_threads_back() -> None:
    usual = cv2.getNumThreads()
    first, second = one_opencv_thread(), one_opencv_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert cv2.getNumThreads() == 1
    second.__exit__(None, None, None)
    assert cv2.getNumThreads() == usual


@pytest.mark.parametrize(
    ("threaded", "asked"),
    [
        (False, {}),
        (False, {"control": ("fire=edges,smooth=0.4",)}),
        (True, {"flow": True}),
        (True, {"control": ("fire=motion",)}),
        (True, {"control": ("fire=background,blur=2",)}),
        (True, {"opacity_control": "segment:kmeans"}),
    ],
)
def test_a_renderer_leaves_opencv_as_it_was(threaded: bool, asked: dict[str, Any]) -> None:
    """Optical flow, learnt backgrounds and segmentation are worth several threads."""
    usual = cv2.getNumThreads()
    options = RenderOptions(("fire",), cell=8, warmup=0, **asked)
    renderer = FrameRenderer(open_ruleset("elements"), (64, 48), ClipRange(), options, Path())
    assert cv2.getNumThreads() == (usual if threaded else 1)
    renderer.close()
    assert cv2.getNumThreads() == usual


def test_a_renderer_that_could_not_be_made_leaves_it_too() -> None:
    usual = cv2.getNumThreads()
    options = RenderOptions(("fire",), cell=8, engine="no such engine")
    with pytest.raises(Exception, match="engine"):
        FrameRenderer(open_ruleset("elements"), (64, 48), ClipRange(), options, Path())
    assert cv2.getNumThreads() == usual
