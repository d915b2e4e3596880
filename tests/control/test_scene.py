"""What follows the scene: levels and cuts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ncavideo.control.field import Motion
from ncavideo.control.levels import ClipRange
from ncavideo.control.optical_flow import OpticalFlow, warp_picture
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.warp import warp_state
from ncavideo.util.warp import warped


def scene(shift: tuple[float, float]) -> np.ndarray:
    """Return a view of one large picture, moved by (x, y) pixels, `[120, 160]` in 0..1."""
    rng = np.random.default_rng(4)
    large = sum(
        cv2.resize(rng.random((n, n)).astype(np.float32), (320, 320), interpolation=cv2.INTER_CUBIC)
        for n in (12, 40, 80)
    )
    large = (large - large.min()) / np.ptp(large)
    turn = np.float32([[1, 0, shift[0] - 80], [0, 1, shift[1] - 80]])
    return cv2.warpAffine(large, turn, (160, 120), flags=cv2.INTER_CUBIC).clip(0, 1)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.0, 0.0), (-2.4, 1.7), (6.0, -4.5)])
def test_a_pan_is_followed_below_a_pixel(shift: tuple[float, float]) -> None:
    follow = OpticalFlow()
    assert follow(scene((0, 0)), 0.0) is None
    motion = follow(scene(shift), 0.04)
    assert motion is not None
    assert not motion.cut
    assert motion.seconds == pytest.approx(0.04)
    inner = (slice(15, -15), slice(15, -15))
    error = np.abs(motion.backward_flow[inner] + shift).max(-1)
    assert np.median(error) < 0.15
    assert not motion.occluded[inner].any()


def test_what_was_outside_or_hidden_is_lost() -> None:
    follow = OpticalFlow()
    follow(scene((0, 0)), 0.0)
    motion = follow(scene((8.0, 0)), 0.04)
    assert motion is not None
    assert motion.occluded[20:-20, :6].mean() > 0.9


def test_cuts_are_found_and_pans_flashes_and_fades_are_not() -> None:
    follow = OpticalFlow()
    follow(scene((0, 0)), 0.0)
    for index, frame in enumerate(
        [scene((9, 5)), scene((9, 5)) * 0.8, np.clip(scene((10, 5)) + 0.2, 0, 1), scene((12, 6))]
    ):
        motion = follow(frame, 0.04 * (index + 1))
        assert motion is not None and not motion.cut, index
    other = np.ascontiguousarray(scene((0, 0))[::-1, ::-1])
    motion = follow(other, 0.4)
    assert motion is not None and motion.cut
    black = follow(np.zeros_like(other), 0.5)
    assert black is not None and black.cut
    still = follow(np.zeros_like(other), 0.6)
    assert still is not None and not still.cut and not still.backward_flow.any()


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (300, 20), (700, 900)])
def test_any_size_is_followed(size: tuple[int, int]) -> None:
    follow = OpticalFlow()
    rng = np.random.default_rng(0)
    for index in range(2):
        motion = follow(rng.random(size).astype(np.float32), index / 25)
    assert motion is not None
    assert motion.backward_flow.shape == (*size, 2)
    assert motion.occluded.shape == size
    assert np.isfinite(motion.backward_flow).all()


@pytest.mark.parametrize("size", [(45, 80), (32, 48), (120, 160)])
def test_a_flow_does_not_hang_on_the_frames_before(size: tuple[int, int]) -> None:
    def frame(index: int) -> np.ndarray:
        moved = scene((3.0 * index, -1.5 * index))
        return cv2.resize(moved, size[::-1], interpolation=cv2.INTER_AREA)

    used = OpticalFlow()
    for index in range(6):
        after = used(frame(index), index / 25)
    fresh = OpticalFlow()
    fresh(frame(4), 4 / 25)
    expected = fresh(frame(5), 5 / 25)
    assert after is not None and expected is not None
    np.testing.assert_array_equal(after.backward_flow, expected.backward_flow)
    np.testing.assert_array_equal(after.occluded, expected.occluded)


def test_a_state_is_carried_along() -> None:
    state = np.random.default_rng(1).random((5, 30, 40)).astype(np.float32)
    state = np.stack([cv2.GaussianBlur(plane, (0, 0), 2) for plane in state])
    back = np.full((30, 40, 2), (-3, 1), np.float32)
    lost = np.zeros((30, 40), bool)
    lost[:, :3] = True
    moved = warp_state(state, Motion(back, lost, False, 0.04))
    assert moved is not None
    np.testing.assert_allclose(moved[:, :-1, 3:], state[:, 1:, :-3], atol=1e-5)
    # 32 cells further on, up to the right, is beyond the edge for the upper cells.
    np.testing.assert_array_equal(moved[:, :9, :3], state[:, :9, :3])
    half = warp_state(state, Motion(back * 0 + np.float32(0.5), lost & False, False, 0.04))
    assert half is not None
    linear = (state[:, :-1, :-1] + state[:, 1:, :-1] + state[:, :-1, 1:] + state[:, 1:, 1:]) / 4
    inner = (slice(None), slice(2, -3), slice(2, -3))
    apart = half[:, :-1, :-1] - linear
    assert 0 < np.abs(apart[inner]).max() < 0.02
    assert half[inner].std() > linear[inner].std()
    assert warp_state(state, Motion(back, lost, True, 0.04)) is None
    assert warp_state(state, Motion(back * 0, lost, False, 0.04)) is None


def test_what_comes_in_is_no_stripes() -> None:
    """A still rim, copied frame after frame, would repeat itself along the motion."""
    rng = np.random.default_rng(5)
    state = np.stack([cv2.GaussianBlur(rng.random((60, 120)).astype(np.float32), (0, 0), 1.5)
                      for _ in range(3)])  # fmt: skip
    back = np.full((60, 120, 2), (-3, 0), np.float32)
    outside = np.zeros((60, 120), bool)
    outside[:, :3] = True
    first = state
    for _ in range(8):
        moved = warp_state(state, Motion(back, outside, False, 0.04))
        assert moved is not None
        state = moved
    # Eight times three cells came in: the piece of texture that ended 32 cells further on.
    np.testing.assert_allclose(state[:, :, :24], first[:, :, 8:32], atol=1e-5)
    np.testing.assert_allclose(state[:, :, 24:], first[:, :, :-24], atol=1e-5)
    slow, other = back * np.float32(0.05), back.copy()
    other[:, 20:, 1] = 2.5  # nothing moves alike further on
    for kept in (slow, other):
        moved = warp_state(first, Motion(kept, outside, False, 0.04))
        assert moved is not None
        np.testing.assert_array_equal(moved[:, :, :3], first[:, :, :3])


def test_a_fine_flow_follows_closer() -> None:
    """A picture that turns and grows about its centre."""
    turn = cv2.getRotationMatrix2D((80, 60), 4, 1.06)
    picture = scene((0, 0))
    turned = cv2.warpAffine(picture, turn, (160, 120), flags=cv2.INTER_CUBIC).clip(0, 1)
    inverse = cv2.invertAffineTransform(turn)
    y, x = np.indices((120, 160), np.float32)
    true = np.stack([x, y, np.ones_like(x)], -1) @ inverse.T.astype(np.float32)
    true -= np.stack([x, y], -1)

    def error(fine: bool) -> float:
        follow = OpticalFlow(fine=fine)
        follow(picture, 0.0)
        motion = follow(turned, 0.04)
        assert motion is not None and not motion.cut
        gap = (motion.backward_flow - true)[20:-20, 20:-20]
        return float(np.hypot(gap[..., 0], gap[..., 1]).mean())

    assert error(True) < 0.7 * error(False)


@pytest.mark.parametrize("step", [(0.01, 0.0), (0.0, -0.01), (0.013, 0.007), (-0.3, 0.0)])
def test_however_little_moves_adds_up(step: tuple[float, float]) -> None:
    """A hundred frames of a hundredth of a cell are one cell."""
    wave = 2 * np.pi / 32 * np.indices((128, 128), np.float32)
    planes = np.stack([np.cos(wave[1]), np.cos(wave[0])]).astype(np.float32)
    back = np.full((128, 128, 2), [-s for s in step], np.float32)
    motion, state = Motion(back, np.zeros((128, 128), bool), False, 0.04), planes
    for _ in range(100):
        moved = warp_state(state, motion)
        assert moved is not None
        state = moved
    # The phase over whole waves far from the edges, where nothing came in.
    inner = (slice(32, 96), slice(32, 96))
    for plane, angle, asked in zip(state, wave[::-1], step, strict=True):
        phase = np.angle((plane[inner] * np.exp(1j * angle[inner])).sum())
        shift = (phase * 32 / (2 * np.pi) - 100 * asked + 16) % 32 - 16
        assert abs(shift) < 0.05


@pytest.mark.parametrize("planes", [1, 2, 3, 4, 5, 16])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (150, 40)])
def test_a_warp_meets_places_exactly(planes: int, size: tuple[int, int]) -> None:
    """As in double precision, whatever the number of channels; beyond the edge is as at it."""
    rng = np.random.default_rng(4)
    picture = rng.random((planes, *size)).astype(np.float32)
    back = rng.normal(0, 3, (*size, 2)).astype(np.float32)
    at = [np.clip(np.indices(size)[a] + back[..., 1 - a].astype(float), 0, size[a] - 1)
          for a in (0, 1)]  # fmt: skip
    low = [np.floor(place).astype(int) for place in at]
    high = [np.minimum(place + 1, side - 1) for place, side in zip(low, size, strict=True)]
    down, across = (place - first for place, first in zip(at, low, strict=True))
    upper = picture[:, low[0], low[1]] * (1 - across) + picture[:, low[0], high[1]] * across
    lower = picture[:, high[0], low[1]] * (1 - across) + picture[:, high[0], high[1]] * across
    expected = upper * (1 - down) + lower * down
    np.testing.assert_allclose(warped(picture, back), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (30, 40)])
def test_a_sharp_warp_is_catmull_and_roms(size: tuple[int, int]) -> None:
    """Along either axis alone, in double precision; whole steps are exact."""
    rng = np.random.default_rng(6)
    picture = rng.random((2, *size)).astype(np.float32)
    for axis in (0, 1):
        back = np.zeros((*size, 2), np.float32)
        back[..., 1 - axis] = rng.normal(0, 3, size)
        last = size[axis] - 1
        at = np.clip(np.indices(size)[axis] + back[..., 1 - axis].astype(float), 0, last)
        low = np.minimum(np.floor(at).astype(int), max(last - 1, 0))
        f, expected = at - low, np.zeros((2, *size))
        weights = (
            -f * (1 - f) ** 2 / 2, 1 - f**2 * (5 - 3 * f) / 2,
            f * (1 + 4 * f - 3 * f**2) / 2, -(f**2) * (1 - f) / 2,
        )  # fmt: skip
        for place, weight in enumerate(weights, -1):
            tap = np.clip(low + place, 0, last)
            expected += weight * np.take_along_axis(picture, tap[None].repeat(2, 0), axis + 1)
        np.testing.assert_allclose(warped(picture, back, 1.0), expected, atol=1e-6)
        whole = np.rint(back)
        np.testing.assert_array_equal(warped(picture, whole, 1.0), warped(picture, whole))


def test_a_motion_that_is_no_number_harms_nothing() -> None:
    picture = np.random.default_rng(4).random((2, 5, 6)).astype(np.float32)
    for odd in (np.nan, np.inf, -np.inf, 1e30):
        back = np.full((5, 6, 2), odd, np.float32)
        for sharpness in (0.0, 0.25):
            assert np.isin(warped(picture, back, sharpness), picture).all()


@pytest.mark.slow
def test_texture_rides_on_what_moves() -> None:
    """With the flow the grid after a pan is the grid before it, moved; without it is not."""
    ruleset = open_ruleset("elements")

    def after_pan(flow: bool) -> tuple[np.ndarray, np.ndarray]:
        options = RenderOptions(("moss", "water"), flow=flow, steps=1, cell=1, light=0, contrast=1)
        renderer = FrameRenderer(ruleset, (160, 120), ClipRange(), options)
        textures = []
        for index in range(5):
            rgb = (scene((2.0 * index, 0))[..., None] * 255).astype(np.uint8).repeat(3, 2)
            textures.append(renderer.step(renderer.condition(rgb, index / 25)))
        return textures[0], textures[-1]

    def likeness(flow: bool) -> float:
        first, last = after_pan(flow)
        back = np.full((120, 160, 2), (-8, 0), np.float32)
        moved = warp_picture(first, back)
        return float(np.corrcoef(moved[10:-10, 20:-10].ravel(), last[10:-10, 20:-10].ravel())[0, 1])

    with_flow, without = likeness(True), likeness(False)
    assert with_flow > 0.8
    assert without < with_flow - 0.3


def test_a_cut_may_begin_the_grid_again() -> None:
    ruleset = open_ruleset("elements")
    frames = [scene((0, 0)), np.ascontiguousarray(scene((0, 0))[::-1, ::-1])]
    changes, still = {}, ("steps@0=0",)
    for on_cut in ("keep", "restart"):
        options = RenderOptions(
            ("moss", "water"), on_cut=on_cut, keyframes=still, warmup=30, cell=1
        )
        renderer = FrameRenderer(ruleset, (160, 120), ClipRange(), options)
        first, last = (
            renderer.step(
                renderer.condition((f[..., None] * 255).astype(np.uint8).repeat(3, 2), i / 25)
            )
            for i, f in enumerate(frames)
        )
        changes[on_cut] = float(np.abs(first - last).mean())
    assert changes["keep"] == 0
    assert changes["restart"] > 0.05
