"""Controls: from a source frame to weights, light and the grid's input channels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from ncavideo.control.driver import Driver
from ncavideo.control.field import Context, View, even_thresholds, make_view, ramp
from ncavideo.control.levels import CLIP_LIMIT, ClipRange, Thresholds, clip_range, local_contrast
from ncavideo.control.light import Light, raised, weakened
from ncavideo.control.luminance import DEFAULT_CONTRAST, Luminance
from ncavideo.nca.inputs import LEAST_STRENGTH, inputs_for
from ncavideo.nca.ruleset import RuleSet
from ncavideo.util.errors import UserError
from ncavideo.util.pixels import LUMINANCE

SHARE = st.floats(0, 1, width=32)
GRIDS = hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)


def grey(luma: np.ndarray, time: float = 0.0, levels: ClipRange | None = None) -> View:
    """Return the view of a grey frame, one pixel a cell."""
    luma = luma.astype(np.float32)
    return View(np.repeat(luma[..., None], 3, 2), luma, time, levels or ClipRange())


def halves(white: float, height: int = 90, width: int = 160) -> np.ndarray:
    """Return a frame whose left share `white` is white and the rest black."""
    luma = np.zeros((height, width), np.float32)
    luma[:, : round(white * width)] = 1
    return luma


def noise(deviation: float, seed: int = 0, height: int = 90, width: int = 160) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (deviation * rng.standard_normal((height, width))).astype(np.float32)


# The ramp


@given(
    position=hnp.arrays(np.float32, GRIDS, elements=SHARE),
    thresholds=st.lists(SHARE, min_size=5, max_size=5).map(sorted),
    contrast=st.floats(0.05, 1000),
    count=st.integers(1, 6),
)
@settings(max_examples=150)
def test_ramp_shares_out_the_whole(
    position: np.ndarray, thresholds: list[float], contrast: float, count: int
) -> None:
    borders = np.array(thresholds[: max(count - 1, 1)])
    weights = ramp(position, borders, contrast, count)
    assert weights.shape == (count, *position.shape)
    assert weights.dtype == np.float32
    assert weights.min() >= 0
    total = weights.sum(0)
    assert total.max() <= 1 + 1e-6
    if count > 1:
        assert np.abs(total - 1).max() < 1e-6


@given(position=hnp.arrays(np.float32, GRIDS, elements=SHARE), count=st.integers(2, 7))
@settings(max_examples=60)
def test_contrast_1_is_linear_interpolation(position: np.ndarray, count: int) -> None:
    weights = ramp(position, even_thresholds(count), 1, count)
    # Rules stand evenly from 1 (the first) to 0 (the last); each cell mixes its two neighbours.
    for rule in range(count):
        home = 1 - rule / (count - 1)
        hat = np.maximum(0, 1 - np.abs(position.astype(float) - home) * (count - 1))
        np.testing.assert_allclose(weights[rule], hat, atol=2e-5)


@given(count=st.integers(2, 7), contrast=st.floats(1, 1000))
@settings(max_examples=40)
def test_first_rule_takes_the_bright_end(count: int, contrast: float) -> None:
    ends = np.array([[1, 0]], np.float32)
    weights = ramp(ends, even_thresholds(count), contrast, count)
    np.testing.assert_allclose(weights[:, 0, 0], np.eye(count)[0], atol=1e-6)
    np.testing.assert_allclose(weights[:, 0, 1], np.eye(count)[-1], atol=1e-6)


@given(position=hnp.arrays(np.float32, GRIDS, elements=SHARE))
@settings(max_examples=20)
def test_a_single_rule_gets_its_strength(position: np.ndarray) -> None:
    weights = ramp(position, even_thresholds(1), 1, 1)
    np.testing.assert_allclose(weights[0], position, atol=1e-6)


@given(
    brightness=st.lists(SHARE, min_size=2, max_size=12).map(sorted),
    count=st.integers(2, 5),
    contrast=st.floats(1, 50),
)
@settings(max_examples=60)
def test_brighter_never_means_a_darker_rule(
    brightness: list[float], count: int, contrast: float
) -> None:
    position = np.array([brightness], np.float32)
    weights = ramp(position, even_thresholds(count), contrast, count)
    # The share of the first k rules together only grows with brightness.
    assert (np.diff(np.cumsum(weights, 0), axis=-1) >= -2e-6).all()


def test_contrast_steepens_the_change_over() -> None:
    position = np.linspace(0, 1, 1001, dtype=np.float32)[None]

    def between(contrast: float) -> float:
        weights = ramp(position, even_thresholds(3), contrast, 3)
        return float((weights.max(0) < 0.999).mean())

    assert between(1) > 0.98
    assert between(2) == pytest.approx(0.5, abs=0.01)
    assert between(10) == pytest.approx(0.1, abs=0.01)


# Levels


def test_clip_range_leaves_out_the_extreme_percent() -> None:
    luma = np.linspace(0.2, 0.7, 10_000).reshape(100, 100)
    luma[0, :50] = 0
    luma[-1, :50] = 1
    levels = clip_range([luma[:50], luma[50:]])
    assert levels.low == pytest.approx(0.2, abs=0.01)
    assert levels.high == pytest.approx(0.7, abs=0.01)
    assert clip_range([]) == ClipRange(0, 1)


@given(low=SHARE, high=SHARE, luma=hnp.arrays(np.float32, GRIDS, elements=SHARE))
@settings(max_examples=60)
def test_stretch_stays_in_range_and_in_order(low: float, high: float, luma: np.ndarray) -> None:
    low, high = sorted((low, high))
    stretched = ClipRange(low, high).stretch(luma)
    assert stretched.min() >= 0
    assert stretched.max() <= 1
    order = luma.ravel().argsort()
    assert (np.diff(stretched.ravel()[order]) >= 0).all()
    if high - low > 0.1:
        assert ClipRange(low, high).stretch(np.array([low, high])).tolist() == [0, 1]


@pytest.mark.parametrize("value", [0.5, 1.0])
def test_a_clip_of_one_brightness_is_not_called_dark(value: float) -> None:
    """A white clip has no range to stretch; that makes it no black one."""
    frame = np.full((24, 32), value, np.float32)
    levels = clip_range([frame])
    assert Light()(grey(frame, levels=levels)).mean() >= 0.45


def test_local_contrast_spreads_a_face_in_even_light() -> None:
    y, x = np.mgrid[0:180, 0:320] / 180
    luma = (0.5 + 0.05 * np.sin(8 * x) * np.cos(9 * y)).astype(np.float32)
    out = local_contrast(luma)
    assert out.dtype == np.float32
    assert out.min() >= 0
    assert out.max() <= 1
    assert out.std() > 1.5 * luma.std()
    assert np.corrcoef(out.ravel(), luma.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("size", [(90, 160), (180, 320), (360, 640)], ids=str)
def test_local_contrast_keeps_noise_down(size: tuple[int, int]) -> None:
    """The clip limit is what it says: noise in a flat region grows by no more than that."""
    luma = 0.5 + noise(0.004, 1, *size)
    assert local_contrast(luma).std() < 1.5 * CLIP_LIMIT * luma.std()


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1), (5, 7), (12, 12), (13, 300)], ids=str)
def test_local_contrast_on_small_grids(size: tuple[int, int]) -> None:
    luma = np.random.default_rng(0).random(size).astype(np.float32)
    out = local_contrast(luma)
    assert out.shape == size
    assert np.isfinite(out).all()


# Thresholds


@pytest.mark.parametrize("white", [0.2, 0.35, 0.5, 0.65, 0.8])
def test_two_tones_are_split_between_them(white: float) -> None:
    (threshold,) = Thresholds(2).update(halves(white), 0)
    assert 0.1 < threshold < 0.9


def test_three_tones_are_split_between_them() -> None:
    luma = np.repeat(np.array([0.1, 0.5, 0.9], np.float32), 400).reshape(30, 40)
    first, second = Thresholds(3).update(luma, 0)
    assert 0.15 < first < 0.45
    assert 0.55 < second < 0.85


@given(
    luma=hnp.arrays(np.float32, GRIDS, elements=SHARE),
    bands=st.integers(2, 6),
    later=hnp.arrays(np.float32, GRIDS, elements=SHARE),
    pause=st.floats(-1, 10),
)
@example(np.zeros((4, 4), np.float32), 2, np.ones((4, 4), np.float32), 0.04)
@example(np.ones((4, 4), np.float32), 6, np.ones((4, 4), np.float32), 0.0)
@settings(max_examples=100)
def test_thresholds_ascend_within_range(
    luma: np.ndarray, bands: int, later: np.ndarray, pause: float
) -> None:
    thresholds = Thresholds(bands)
    for frame, time in ((luma, 1.0), (later, 1 + pause)):
        found = thresholds.update(frame, time)
        assert found.shape == (bands - 1,)
        assert found.min() >= 0
        assert found.max() <= 1
        assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("value", [0.0, 0.3, 0.5, 1.0])
def test_constant_frames(value: float) -> None:
    frame = np.full((24, 32), value, np.float32)
    assert Thresholds(3).update(frame, 0) == pytest.approx([1 / 3, 2 / 3], abs=0.02)
    for contrast in (1.0, DEFAULT_CONTRAST):
        weights = Luminance(3).weights(grey(frame), contrast)
        assert np.isfinite(weights).all()
        assert np.abs(weights.sum(0) - 1).max() < 1e-6
        assert np.ptp(weights.reshape(3, -1), axis=1).max() < 1e-5


def drifting(time: float) -> np.ndarray:
    """Return a textured frame that brightens steadily, with no cut."""
    base = np.random.default_rng(0).random((40, 60))
    return (base ** (2.5 - 0.6 * time)).astype(np.float32)


def trajectory(times: np.ndarray) -> np.ndarray:
    thresholds = Thresholds(3)
    return np.stack([thresholds.update(drifting(time), time) for time in times])


def test_frame_rate_does_not_matter() -> None:
    slow, fast = (trajectory(np.arange(2 * rate + 1) / rate) for rate in (25, 50))
    moved = np.abs(slow[-1] - slow[0])
    assert moved.min() > 0.1, "the test's frames must move the thresholds"
    assert np.abs(fast[::2] - slow).max() < 0.05 * moved.max()
    # Frames at uneven times: those of 25 fps with two thirds of them dropped at random.
    kept = np.sort(np.random.default_rng(1).choice(np.arange(1, 50), 16, replace=False))
    kept = np.array([0, *kept, 50])
    uneven = trajectory(kept / 25)
    assert np.abs(uneven - slow[kept]).max() < 0.2 * moved.max()


def test_a_held_frame_approaches_its_split_as_an_exponential() -> None:
    """After a change, the time constant alone decides, however many frames there are."""
    results = []
    for rate in (24, 25, 60):
        thresholds = Thresholds(2)
        thresholds.update(drifting(0), 0)
        changed = drifting(0.4)
        for frame in range(1, rate + 1):
            found = thresholds.update(changed, frame / rate)
        results.append(found)
    np.testing.assert_allclose(results, np.broadcast_to(results[0], (3, 1)), atol=1e-6)


def test_thresholds_follow_smoothly_and_jump_at_a_cut() -> None:
    scene, other = drifting(0), drifting(0) * 0.3
    fresh = Thresholds(2).update(other, 0)
    thresholds = Thresholds(2)
    for frame in range(10):
        before = thresholds.update(scene, frame / 25)
    assert np.abs(fresh - before).min() > 0.1
    after = thresholds.update(other, 10 / 25)
    assert np.array_equal(after, fresh)
    # A slow change is followed over time, not at once.
    thresholds = Thresholds(2)
    start = thresholds.update(drifting(0), 0)
    aim = Thresholds(2).update(drifting(0.3), 0)
    step = thresholds.update(drifting(0.3), 0.04)
    assert np.abs(step - start).max() < 0.15 * np.abs(aim - start).max()


def test_still_noise_hardly_moves_thresholds() -> None:
    thresholds = Thresholds(2)
    found = [thresholds.update(drifting(0) * 0.8 + 0.1 + noise(0.02, i, 40, 60), i / 25)
             for i in range(25)]  # fmt: skip
    assert np.abs(np.diff(found, axis=0)).max() < 0.004


# Luminance


@pytest.mark.parametrize("contrast", [1.0, DEFAULT_CONTRAST, 40.0])
@pytest.mark.parametrize("white", [0.25, 0.4, 0.5, 0.6, 0.75])
def test_white_is_the_first_rule_and_black_the_last(white: float, contrast: float) -> None:
    luma = halves(white)
    weights = Luminance(2).weights(grey(luma), contrast)
    edge = round(white * luma.shape[1])
    assert weights[0][:, : edge - 4].min() > 0.9
    assert weights[1][:, edge + 4 :].min() > 0.9


@pytest.mark.parametrize("levels", [(0.0, 1.0), (0.4, 0.6)])
def test_noise_does_not_blur_the_split(levels: tuple[float, float]) -> None:
    low, high = levels
    luma = np.clip(low + (high - low) * (0.15 + 0.7 * halves(0.5) + noise(0.03)), 0, 1)
    control = Luminance(2)
    weights = control.weights(grey(luma, levels=ClipRange(low, high)))
    assert (weights[0][:, :76] > 0.9).mean() > 0.97
    assert (weights[1][:, 84:] > 0.9).mean() > 0.97


def test_every_rule_gets_a_share_of_a_smooth_picture() -> None:
    """And most cells live by one rule."""
    y, x = np.mgrid[0:90, 0:160] / 90
    luma = np.clip(0.6 + 0.3 * np.sin(5 * x + 2 * np.cos(3 * y)), 0, 1)
    weights = Luminance(4).weights(grey(luma, levels=clip_range([luma])))
    assert weights.mean((1, 2)).min() > 0.1
    assert (weights.max(0) > 0.9).mean() > 0.6


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (3, 3), (12, 12)], ids=str)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_luminance_on_small_grids(size: tuple[int, int], count: int) -> None:
    control = Luminance(count)
    rng = np.random.default_rng(0)
    for frame in range(3):
        weights = control.weights(grey(rng.random(size), frame / 25))
        assert weights.shape == (count, *size)
        assert weights.min() >= 0
        assert weights.sum(0).max() <= 1 + 1e-6


def test_contrast_1_asks_the_luminance_alone() -> None:
    """The plain ramp: no local contrast, no memory of earlier frames."""
    control = Luminance(2)
    luma = np.linspace(0.2, 0.8, 300, dtype=np.float32).reshape(15, 20)
    control.weights(grey(halves(0.5)), 1)
    weights = control.weights(grey(luma, levels=ClipRange(0.2, 0.8)), 1)
    np.testing.assert_allclose(weights[0], (luma - 0.2) / 0.6, atol=1e-5)


# Light


@pytest.mark.parametrize("size", [(8, 8), (90, 160)], ids=str)
def test_a_brighter_frame_asks_for_brighter_light(size: tuple[int, int]) -> None:
    light = Light()
    means = [float(light(grey(np.full(size, v))).mean()) for v in np.linspace(0, 1, 9)]
    assert (np.diff(means) > 0.05).all()
    assert means[0] < 0.05
    assert means[-1] > 0.95


@given(luma=hnp.arrays(np.float32, (7, 9), elements=SHARE), strength=SHARE)
@settings(max_examples=40)
def test_light_rises_with_luminance_within_a_small_frame(luma: np.ndarray, strength: float) -> None:
    light = weakened(Light()(grey(luma)), strength)
    assert light.dtype == np.float32
    assert (np.diff(light.ravel()[luma.ravel().argsort()]) >= 0).all()
    assert np.abs(light - 0.5).max() <= strength / 2 + 1e-6


def test_light_rises_along_a_slope() -> None:
    slope = np.broadcast_to(np.linspace(0, 1, 320), (180, 320))
    light = Light()(grey(slope))
    assert np.diff(light.mean(0)).min() > -0.01
    assert np.corrcoef(light.ravel(), slope.ravel())[0, 1] > 0.97


def test_no_strength_asks_for_the_middle() -> None:
    assert (weakened(Light()(grey(halves(0.5))), 0) == 0.5).all()


def test_detail_raises_what_is_small_in_the_light() -> None:
    y, x = np.mgrid[:60, :80].astype(np.float32)
    letters = 0.4 + 0.1 * ((x % 6 < 3) & (y % 10 < 7))
    assert raised(letters, 0.4).std() > 2 * letters.std()
    assert letters.std() < raised(letters, 0.2).std() < raised(letters, 0.4).std()
    slope = np.broadcast_to(np.linspace(0, 1, 160, dtype=np.float32), (90, 160))
    assert np.abs(raised(slope, 0.4) - slope)[:, 16:-16].max() < 1e-3


@given(light=hnp.arrays(np.float32, (7, 9), elements=SHARE), detail=SHARE)
@settings(max_examples=40)
def test_raised_light_is_light(light: np.ndarray, detail: float) -> None:
    found = raised(light, detail)
    assert found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    assert (raised(light, 0) == light).all()


# Views


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_view_of_a_frame(kind: type) -> None:
    white = np.iinfo(kind).max
    frame = np.zeros((20, 30, 3), kind)
    frame[:, :15] = (white, 0, 0)
    frame[:, 15:] = (0, white, 0)
    view = make_view(frame, 4, 6, 1.5)
    assert view.rgb.shape == (4, 6, 3)
    assert view.luma.shape == (4, 6)
    assert view.time == 1.5
    assert view.rgb.dtype == view.luma.dtype == np.float32
    np.testing.assert_allclose(view.luma[:, :3], LUMINANCE[0], rtol=1e-5)
    np.testing.assert_allclose(view.luma[:, 3:], LUMINANCE[1], rtol=1e-5)
    assert make_view(np.full((5, 5, 3), white, kind), 3, 3, 0).luma == pytest.approx(1, abs=1e-5)


def test_view_averages_what_a_cell_covers() -> None:
    checkers = (np.indices((40, 40)).sum(0) % 2 * 255).astype(np.uint8)
    view = make_view(np.repeat(checkers[..., None], 3, 2), 10, 10, 0)
    np.testing.assert_allclose(view.luma, 0.5, atol=1e-5)


# Input channels


def test_inputs_are_ordered_as_the_rule_set(make_ruleset: Callable[..., RuleSet]) -> None:
    ruleset = make_ruleset(rules=("fire", "moss", "water"), others=("light", "wind"))
    light = np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
    weights = np.stack([np.full((4, 5), 0.3, np.float32), np.full((4, 5), 0.7, np.float32)])
    inputs = inputs_for(ruleset, ["water", "fire"], weights, light)
    assert inputs.shape == (5, 4, 5)
    assert inputs.dtype == np.float32
    fire, moss, water, lit, wind = inputs
    assert (fire == np.float32(0.7)).all()
    assert (water == np.float32(0.3)).all()
    assert not moss.any()
    assert not wind.any()
    np.testing.assert_allclose(lit, 2 * light - 1, atol=1e-6)


def test_inputs_without_a_light_channel(make_ruleset: Callable[..., RuleSet]) -> None:
    ruleset = make_ruleset(rules=("fire", "moss"), others=())
    weights = np.full((2, 3, 3), 0.5, np.float32)
    inputs = inputs_for(ruleset, ["fire", "moss"], weights, np.zeros((3, 3), np.float32))
    assert (inputs == 0.5).all()


def test_a_single_rule_keeps_living(make_ruleset: Callable[..., RuleSet]) -> None:
    weights = np.array([[[0.0, 0.5, 1.0]]], np.float32)
    before = weights.copy()
    inputs = inputs_for(make_ruleset(), ["moss"], weights, np.full((1, 3), 0.5, np.float32))
    np.testing.assert_allclose(inputs[1], [[LEAST_STRENGTH, 0.7, 1.0]], atol=1e-6)
    assert not inputs[0].any()
    assert np.array_equal(weights, before)


# Controls by name


RULES = ("fire", "moss", "water", "stone")


def driver(spec: str, count: int) -> Driver:
    """Return what one control makes of the first `count` rules."""
    return Driver(RULES[:count], (spec,), Context(Path()))


def save_mask(path: Path, grey_levels: np.ndarray) -> str:
    assert cv2.imwrite(str(path), grey_levels)
    return f"mask:{path}"


@pytest.mark.parametrize(
    "spec", ["luminosity", "", "mask", "mask:", "colours:3", "fire=", "=luminance"]
)
def test_unknown_controls(spec: str) -> None:
    with pytest.raises(UserError, match="control"):
        driver(spec, 2)


def test_luminance_by_name_has_the_default_contrast() -> None:
    view = grey(np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40))
    default, same = (driver("luminance", 3).weights(view, c) for c in (None, DEFAULT_CONTRAST))
    assert np.array_equal(default, same)


@pytest.mark.parametrize(("kind", "name"), [(np.uint8, "m.png"), (np.uint16, "m.png"),
                                            (np.uint8, "m.bmp"), (np.uint16, "m.tif")])  # fmt: skip
@pytest.mark.parametrize("colour", [False, True])
def test_mask_greys_mix_linearly(tmp_path: Path, kind: type, name: str, colour: bool) -> None:
    levels = np.linspace(0, np.iinfo(kind).max, 64).astype(kind)
    picture = np.broadcast_to(levels, (48, 64))
    if colour:
        picture = np.repeat(picture[..., None], 3, 2)
    control = driver(save_mask(tmp_path / name, picture), 2)
    weights = control.weights(grey(np.zeros((48, 64))))
    expected = np.broadcast_to(np.linspace(0, 1, 64), (48, 64))
    np.testing.assert_allclose(weights[0], expected, atol=0.01)
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-6)


@pytest.mark.parametrize("size", [(12, 16), (96, 128), (10, 100), (480, 20)], ids=str)
def test_mask_is_brought_to_the_grid(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = (255 * halves(0.5, *size)).astype(np.uint8)
    control = driver(save_mask(tmp_path / "m.png", picture), 2)
    weights = control.weights(grey(np.zeros((48, 64))))
    assert weights.shape == (2, 48, 64)
    assert weights[0][:, :24].min() > 0.95
    assert weights[1][:, 40:].min() > 0.95


def test_mask_of_a_single_rule_is_its_strength(tmp_path: Path) -> None:
    picture = np.full((8, 8), 51, np.uint8)
    control = driver(save_mask(tmp_path / "m.png", picture), 1)
    np.testing.assert_allclose(control.weights(grey(np.zeros((8, 8)))), 0.2, atol=1e-3)
    control.close()


def test_masks_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    Image.new("L", (64, 64)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:60])
    for name in ("missing.png", "text.png", "folder.png", "cut.png"):
        with pytest.raises(UserError, match="mask") as caught:
            driver(f"mask:{tmp_path / name}", 2)
        assert name in str(caught.value)
