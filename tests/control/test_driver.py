"""Several controls together, and a scene that is followed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ncavideo.control.driver import Driver
from ncavideo.control.field import Context, Motion, View, make_view
from ncavideo.control.levels import ClipRange
from ncavideo.control.optical_flow import OpticalFlow, warp_picture
from ncavideo.control.spec import ControlSpec, parse_control
from ncavideo.nca.brightness import brightness
from ncavideo.nca.inputs import LEAST_STRENGTH, alive
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.rendering.frame_renderer import FrameRenderer
from ncavideo.rendering.options import RenderOptions
from ncavideo.rendering.rule_order import in_order
from ncavideo.rendering.warp import warp_state
from ncavideo.util.errors import UserError
from ncavideo.util.warp import warped

HEIGHT, WIDTH = 48, 64
RULES = ("fire", "moss", "water")


def view(grey: np.ndarray | float = 0.5, time: float = 0.0) -> View:
    luma = np.broadcast_to(np.asarray(grey, np.float32), (HEIGHT, WIDTH))
    picture = (luma[..., None] * 255 + 0.5).astype(np.uint8).repeat(3, 2)
    return make_view(picture, HEIGHT, WIDTH, time)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """`left.png` and `top.png`: white there, black elsewhere; `grey.png`; `black.png`."""
    left, top = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    left[:, : WIDTH // 2] = 255
    top[: HEIGHT // 2] = 255
    Image.fromarray(left).save(tmp_path / "left.png")
    Image.fromarray(top).save(tmp_path / "top.png")
    Image.new("L", (8, 8), 128).save(tmp_path / "grey.png")
    Image.new("L", (8, 8), 0).save(tmp_path / "black.png")
    return tmp_path


def driver(*controls: str, rules: tuple[str, ...] = RULES) -> Driver:
    return Driver(rules, controls, Context(Path()))


# What users write


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


# Who gets what


def test_a_rule_of_its_own_and_the_rest(masks: Path) -> None:
    weights = driver(f"moss=mask:{masks}/left.png", rules=("fire", "moss")).weights(view())
    assert (weights[1][:, : WIDTH // 2] == 1).all()
    assert (weights[0][:, WIDTH // 2 :] == 1).all()
    np.testing.assert_array_equal(weights.sum(0), 1)


def test_rules_left_over_share_the_rest_by_luminance(masks: Path) -> None:
    bright = np.zeros((HEIGHT, WIDTH), np.float32)
    bright[24:] = 1
    fire, moss, water = driver(f"fire=mask:{masks}/left.png").weights(view(bright))
    assert fire[:, :32].min() == 1
    assert moss[30:, 32:].min() > 0.9
    assert water[:18, 32:].min() > 0.9
    np.testing.assert_allclose(fire + moss + water, 1, atol=1e-6)


def test_rules_left_over_may_stay_off(masks: Path) -> None:
    weights = driver(f"fire=mask:{masks}/left.png", "off").weights(view())
    assert weights[1:].max() == 0
    assert weights[0][:, 32:].max() == 0


def test_two_that_want_one_place_share_it(masks: Path) -> None:
    both = driver(f"fire=mask:{masks}/left.png", f"moss=mask:{masks}/top.png", "off")
    fire, moss, _ = both.weights(view())
    assert (fire[:24, :32] == 0.5).all()
    assert (moss[:24, :32] == 0.5).all()
    assert (fire[24:, :32] == 1).all()
    assert (moss[:24, 32:] == 1).all()
    assert any("same places (25%" in note for note in both.notes())


def test_what_is_nowhere_is_told(masks: Path) -> None:
    nowhere = driver(f"fire=mask:{masks}/black.png", "moss=motion")
    for index in range(3):
        nowhere.weights(view(time=index / 25))
    notes = " ".join(nowhere.notes())
    assert "black throughout" in notes
    assert "fire is nowhere to be seen" in notes
    assert "moss is nowhere to be seen: its control motion" in notes
    assert "water is" not in notes


def test_a_label_map_is_shared_out(tmp_path: Path) -> None:
    numbers = np.arange(WIDTH, dtype=np.uint8)[None].repeat(HEIGHT, 0) // 16
    Image.fromarray(numbers).save(tmp_path / "map.png")
    weights = driver(f"labels:{tmp_path}/map.png").weights(view())
    for rule in range(3):
        expected = np.zeros(WIDTH)
        expected[16 * (rule + 1) : 16 * (rule + 2)] = 1
        np.testing.assert_array_equal(weights[rule], np.broadcast_to(expected, (HEIGHT, WIDTH)))


def test_any_field_may_be_shared_out(masks: Path) -> None:
    weights = driver(f"mask:{masks}/grey.png,invert", rules=("fire", "moss")).weights(view())
    np.testing.assert_allclose(weights[0], 127 / 255, atol=2e-3)
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-6)


def test_strengths_scale_rules() -> None:
    weights = driver("luminance").weights(view(), None, {"fire": 0.0, "moss": 0.5})
    whole = driver("luminance").weights(view())
    assert weights[0].max() == 0
    np.testing.assert_allclose(weights[1], whole[1] / 2)
    np.testing.assert_allclose(weights[2], whole[2])


@pytest.mark.parametrize(
    ("controls", "match"),
    [
        (["luminance", "motion"], "both"),
        (["stone=motion"], "not in --rules"),
        (["fire=motion", "fire=edges"], "two controls"),
        (["fire=motion", "moss=edges", "water=hue:0-9", "luminance"], "nothing is left"),
        (["off"], "every rule off"),
        (["labels:map.png:2"], "one label"),
    ],
)
def test_controls_that_contradict_each_other(controls: list[str], match: str) -> None:
    with pytest.raises(UserError, match=match):
        driver(*controls)


@given(total=st.floats(0, 1, width=32), share=st.floats(0, 1, width=32))
@settings(max_examples=50)
def test_what_is_not_seen_lives_on(total: float, share: float) -> None:
    weights = np.empty((2, 5, 6), np.float32)
    weights[0], weights[1] = total * share, total * (1 - share)
    living = alive(weights)
    expected = LEAST_STRENGTH + (1 - LEAST_STRENGTH) * total if total < 1 - 1e-4 else total
    np.testing.assert_allclose(living.sum(0), expected, atol=1e-4)
    assert (living >= weights - 1e-6).all()
    if total > 0.1:
        np.testing.assert_allclose(living[0] / living.sum(0), share, atol=0.02)


def test_an_empty_place_keeps_what_is_near() -> None:
    weights = np.zeros((2, 20, 60), np.float32)
    weights[0, :, :25] = 1
    weights[1, :, 35:] = 1
    living = alive(weights)
    assert (living[0, :, 25:29] > living[1, :, 25:29]).all()
    assert (living[1, :, 31:35] > living[0, :, 31:35]).all()


# What follows the scene


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


# The order of rules


def test_rules_in_the_order_of_their_brightness(make_ruleset: Callable[..., RuleSet]) -> None:
    ruleset = open_ruleset("elements")
    options = RenderOptions(("moss", "water", "fire"), by_brightness=True)
    assert in_order(options, ruleset).rules == ("fire", "water", "moss")
    assert in_order(RenderOptions(("moss", "fire")), ruleset).rules == ("moss", "fire")
    unknown = make_ruleset()
    assert 0 <= brightness(unknown, "moss") <= 1


def test_driver_state_is_plain() -> None:
    driver = Driver(("fire", "moss"), ["fire=edges,smooth=1"], Context(Path()))
    driver.weights(make_view(np.zeros((16, 16, 3), np.uint8), 16, 16, 0.0))
    state = driver.state_dict()
    assert json.dumps(state, default=lambda value: value.tolist())


@pytest.mark.parametrize(
    ("covers", "rules", "controls"),
    [
        (True, RULES, ()),
        (False, ("fire",), ()),
        (True, RULES, ("edges",)),
        (False, ("fire",), ("luminance",)),
        (False, RULES, ("fire=edges",)),
    ],
)
@pytest.mark.parametrize("contrast", [None, 1.0, 20.0])
def test_weights_that_are_known_to_cover_sum_to_1(
    covers: bool, rules: tuple[str, ...], controls: tuple[str, ...], contrast: float | None
) -> None:
    """So that nobody has to look."""
    made = driver(*controls, rules=rules)
    assert made.covers == covers
    if covers:
        seen = view(np.random.default_rng(0).random((HEIGHT, WIDTH)))
        np.testing.assert_allclose(made.weights(seen, contrast).sum(0), 1, atol=1e-5)
