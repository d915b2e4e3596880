"""Fields of edges, motion and background, with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from field_frames import HEIGHT, WIDTH, disc, frame_view, inside_and_outside, make, plain

from ncavideo.control.field import Motion, make_view


def test_edges_of_a_disc() -> None:
    picture = np.where(disc(32, 24, 14), 0.9, 0.1)[..., None].repeat(3, 2)
    found = make("edges").values(frame_view(picture))
    rim = disc(32, 24, 14.5) & ~disc(32, 24, 13.5)
    assert found[rim].min() > 0.8
    assert found[disc(32, 24, 8)].max() < 0.02
    assert found[~disc(32, 24, 20)].max() < 0.02
    assert make("edges").values(plain()).max() == 0


def test_motion_of_a_disc() -> None:
    there = disc(30, 20)
    back = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    back[there] = (-0.48, 0)  # a hundredth of the height a frame
    motion = Motion(back, np.zeros((HEIGHT, WIDTH), bool), False, 0.04)
    picture = np.full((HEIGHT, WIDTH, 3), 0.5)
    # In 0.04 s that is a quarter of the height a second.
    least, most = inside_and_outside(
        make("motion").values(frame_view(picture, motion=motion)), there, 5
    )
    assert least > 0.98
    assert most < 0.01
    half = make("motion:0.5").values(frame_view(picture, motion=motion))
    assert half[20, 30] == pytest.approx((0.5 - 0.04) / 0.96, abs=0.02)
    # Twice the time, half the speed.
    slow = Motion(back, motion.occluded, False, 0.08)
    assert make("motion").values(frame_view(picture, motion=slow))[20, 30] < 0.6
    for other in (
        None,
        Motion(back, motion.occluded, True, 0.04),
        Motion(back, motion.occluded, False, 0),
    ):
        assert make("motion").values(frame_view(picture, motion=other)).max() == 0


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_what_comes_in_stands_out_and_then_belongs(fps: int) -> None:
    rng = np.random.default_rng(0)
    ground = rng.uniform(0.2, 0.5, (HEIGHT, WIDTH, 3))
    field = make("background:4")
    for index in range(2 * fps):
        empty = field.values(frame_view(ground, index / fps))
    assert empty.max() < 0.01
    there = disc(30, 24, 9)
    picture = np.where(there[..., None], (0.9, 0.9, 0.2), ground)
    begin = 2.0
    found = field.values(frame_view(picture, begin))
    least, most = inside_and_outside(found, there, 3)
    assert least > 0.95
    assert most < 0.05
    for index in range(1, 30 * fps):
        found = field.values(frame_view(picture, begin + index / fps))
        if found[24, 30] < 0.5:
            break
    # The frame rate does not decide how long that takes.
    assert index / fps == pytest.approx(4, abs=0.5)


def test_the_last_bit_does_not_hang_on_memory() -> None:
    """One frame has one answer, wherever its arrays come to lie."""
    rng = np.random.default_rng(0)
    view = frame_view(rng.random((360, 640, 3)))
    back = rng.normal(size=(360, 640, 2)).astype(np.float32)
    moving = make_view(view.source, 360, 640, 0.0, None, lambda luma, time: Motion(
        back, np.zeros((360, 640), bool), False, 0.04))  # fmt: skip
    for text in ("edges", "motion:5"):
        first = make(text).values(moving)
        for _ in range(25):
            held = [np.empty(rng.integers(1, 40_000), np.uint8) for _ in range(3)]
            np.testing.assert_array_equal(make(text).values(moving), first)
            del held
