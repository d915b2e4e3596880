"""People: MediaPipe's networks give their makers' numbers, and masks hold still and hold on."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from ncavideo.control import make_field, named_files
from ncavideo.control.driver import Driver
from ncavideo.control.field import Context, Motion, View, make_view
from ncavideo.control.optical_flow import OpticalFlow
from ncavideo.control.segmenters import person, shipped
from ncavideo.control.segmenters.person import SQUARE, WIDE, Person, probabilities
from ncavideo.control.segmenters.presence import Presence
from ncavideo.control.segmenters.steady import Steady
from ncavideo.control.spec import parse_control
from ncavideo.util.errors import UserError

HERE = Path(__file__).parent
BENCHMARKS = HERE.parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def carphone() -> Path:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return Path(importlib.import_module("clips").carphone())
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def views(carphone: Path) -> list[View]:
    """The clip on a grid of 2x2 pixels a cell, with its motion."""
    clips = importlib.import_module("clips")
    follow = OpticalFlow()
    shown = enumerate(clips.frames(carphone))
    return [make_view(rgb, 72, 88, time, follow=follow) for _, (rgb, time) in shown]


@pytest.fixture(scope="module")
def steady(views: list[View]) -> list[np.ndarray]:
    """The masks that a render gets."""
    field = make_field(parse_control("segment:person"), Context(Path()))
    return [field.values(view).copy() for view in views]


def overlap(found: np.ndarray, there: np.ndarray) -> float:
    """Return intersection over union."""
    return float(((found > 0.5) & there).sum() / ((found > 0.5) | there).sum())


def moved(masks: list[np.ndarray], views: list[View]) -> float:
    """Return how many cells of parts that do not move change sides, of 1 a frame."""
    changed = still = 0
    for before, after, view in zip(masks, masks[1:], views[1:], strict=False):
        assert view.motion is not None
        held = (np.square(view.motion.backward_flow).sum(-1) < 0.15**2) & ~view.motion.occluded
        changed += int((((before > 0.5) != (after > 0.5)) & held).sum())
        still += int(held.sum())
    return changed / still


# The networks


@pytest.mark.parametrize("model", [SQUARE, WIDE], ids=["square", "wide"])
def test_the_networks_give_their_makers_numbers(model: shipped.Model, carphone: Path) -> None:
    """`make_person_reference.py` asked LiteRT."""
    sys.path.insert(0, str(HERE))
    try:
        reference = importlib.import_module("make_person_reference")
    finally:
        sys.path.remove(str(HERE))
    kept = json.loads(reference.REFERENCE.read_text("utf-8"))[model.file]
    for picture, values in zip(reference.inputs(model.size), kept, strict=True):
        found = probabilities(model, picture).ravel()[reference.places(model.size)]
        assert np.ptp(values) > 0.9, "somebody is to be seen"
        np.testing.assert_allclose(found, values, atol=1e-3)


@pytest.mark.parametrize("harm", ["flipped", "emptied", "removed", "foreign"])
def test_a_damaged_network_is_one_sentence(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mediapipe"
    shutil.copytree(shipped.FOLDER, folder)
    file = folder / WIDE.file
    data = bytearray(file.read_bytes())
    data[1000] ^= 1
    file.write_bytes(data if harm == "flipped" else b"")
    if harm == "foreign":
        shutil.copy(folder / SQUARE.file, file)
    if harm == "removed":
        file.unlink()
    monkeypatch.setattr(shipped, "FOLDER", folder)
    shipped.network.cache_clear()
    with pytest.raises(UserError, match=r"install ncavideo again") as caught:
        make_field(parse_control("segment:person"), Context(Path()))
    assert "\n" not in str(caught.value)
    shipped.network.cache_clear()


def test_nothing_is_downloaded_and_torchvision_is_not_asked(carphone: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from ncavideo.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(*sorted({'torchvision', 'transformers'} & set(sys.modules)), 'none')"
    )
    options = ["--control", "fire=segment:person", "--control", "moss=segment:person,invert"]
    done = subprocess.run(
        [sys.executable, "-c", code, "render", carphone, "-o", tmp_path / "out.mp4", *options,
         "--rules", "fire,moss", "--steps", "1", "--warmup", "2", "--duration", "0.3", "--json"],
        capture_output=True, text=True, check=False,
        env={"PATH": "", "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report, modules = done.stdout.splitlines()
    assert json.loads(report)["models"] == ["MediaPipe selfie segmentation"]
    assert json.loads(report)["notes"] == []
    assert modules == "none"


def test_renders_in_threads_do_not_get_each_others_answers(views: list[View]) -> None:
    sources = [views[0].source, np.zeros_like(views[0].source)]
    alone = [person.look(source, person.WHOLE, (72, 88)) for source in sources]
    assert alone[0].max() > 0.9

    def ask(number: int) -> bool:
        found = person.look(sources[number % 2], person.WHOLE, (72, 88))
        return np.array_equal(found, alone[number % 2])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(40)))


# Masks of a real clip


def test_the_masks_are_those_that_were_drawn_by_hand(steady: list[np.ndarray]) -> None:
    drawn = json.loads((HERE / "carphone_masks.json").read_text("utf-8"))
    overlaps = []
    for number, outline in drawn.items():
        canvas = np.zeros((144 * 8, 176 * 8), np.uint8)
        cv2.fillPoly(canvas, [np.round(np.array(outline) * 8).astype(np.int32)], 255)
        there = cv2.resize(canvas, (88, 72), interpolation=cv2.INTER_AREA) > 127
        overlaps.append(overlap(steady[int(number)], there))
    assert len(overlaps) == 12
    assert np.mean(overlaps) > 0.9 and min(overlaps) > 0.85, overlaps


def test_masks_hold_still(steady: list[np.ndarray], views: list[View]) -> None:
    one_by_one = Person()
    raw = [one_by_one(view)[0] for view in views]
    assert moved(steady, views) < 0.5 * moved(raw, views)
    assert moved(raw, views) > 1e-3


def test_two_rules_share_one_look(views: list[View]) -> None:
    driver = Driver(
        ("fire", "moss"), ["fire=segment:person", "moss=segment:person,invert"], Context(Path())
    )
    weights = driver.weights(views[0])
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-5)
    assert driver.notes() == []


def test_a_resume_is_the_same(steady: list[np.ndarray], views: list[View]) -> None:
    before, after = (make_field(parse_control("segment:person"), Context(Path())) for _ in range(2))
    for view in views[:50]:
        before.values(view)
    after.load_state_dict(before.state_dict())
    for number in range(50, 60):
        np.testing.assert_array_equal(after.values(views[number]), steady[number])


def test_looks_are_as_many_as_were_asked_for(views: list[View]) -> None:
    class Counted(Person):
        looks = 0

        def look(self, view: View, before: np.ndarray | None) -> np.ndarray:
            Counted.looks += 1
            return super().look(view, before)

    masks = Steady(Counted(), 4)
    for view in views[:16]:
        masks(view)
    assert Counted.looks == 4


def test_a_cut_is_looked_at_at_once(views: list[View]) -> None:
    masks = Steady(Person(), 100)
    masks(views[0])
    still = np.zeros((72, 88, 2), np.float32)
    motion = Motion(still, np.zeros((72, 88), bool), True, 0.04)
    empty = np.zeros_like(views[0].source)
    assert masks(View(empty, views[0].luma * 0, 1.0, motion=motion)).max() < 0.1


# People in odd places and pictures


def pasted(view: View, mask: np.ndarray, size: float, x: float, y: float) -> tuple[np.ndarray, ...]:
    """Return a picture with the man in it, `size` of its height, and the cells he covers."""
    rows = np.flatnonzero((mask > 0.5).any(1))
    scale = size * 720 / (2 * (rows[-1] - rows[0]))
    man = cv2.resize(view.source, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    share = cv2.resize(mask, man.shape[1::-1])[..., None]
    ramp = np.linspace(60, 180, 1280)[None, :, None] + np.linspace(0, 40, 720)[:, None, None]
    noise = np.random.default_rng(1).normal(0, 4, (720, 1280, 3))
    picture = (ramp * np.array([0.8, 1.0, 0.9]) + noise).clip(0, 255)
    there = np.zeros((720, 1280), np.float32)
    top, left = int(y * 720), int(x * 1280)
    area = np.s_[top : top + man.shape[0], left : left + man.shape[1]]
    picture[area] += share * (man - picture[area])
    there[area] = share[..., 0]
    small = cv2.resize(there, (320, 180), interpolation=cv2.INTER_AREA)
    return picture.astype(np.uint8), small > 0.5


@pytest.mark.parametrize("size", [0.4, 0.2, 0.1])
def test_a_small_person_is_found(size: float, steady: list[np.ndarray], views: list[View]) -> None:
    picture, there = pasted(views[0], steady[0], size, 0.55, 0.35)
    found = Person()(make_view(picture, 180, 320, 0.0))[0]
    assert overlap(found, there) > 0.7
    assert ((found > 0.5) & ~there).mean() < 0.01


def test_nobody_is_told_once(views: list[View]) -> None:
    empty = np.random.default_rng(0).integers(90, 110, (144, 176, 3)).astype(np.uint8)
    field = make_field(parse_control("segment:person"), Context(Path()))
    follow = OpticalFlow()
    for number in range(4):
        field.values(make_view(empty, 72, 88, number / 2, follow=follow))
    assert field.notes() == ["segment:person found nobody in the clip"]
    field = make_field(parse_control("segment:person,every=1"), Context(Path()))
    follow = OpticalFlow()
    for number in range(8):
        picture = views[0].source if number in (3, 4) else empty
        field.values(make_view(picture, 72, 88, number / 2, follow=follow))
    assert field.notes() == [
        "segment:person found nobody before 1.5 s",
        "segment:person found nobody after 2.0 s",
    ]


def test_what_was_cut_off_is_no_time_without_anybody() -> None:
    """A render may begin anywhere in its clip, where somebody is seen at once."""
    presence = Presence("segment:person")
    for number in range(4):
        presence.note(4.6 + number / 2, True)
    assert presence.notes() == []
    again = Presence("segment:person")
    again.load_state_dict(presence.state_dict())
    again.note(8.0, False)
    assert again.notes() == ["segment:person found nobody after 6.1 s"]


@pytest.mark.parametrize("size", [(1, 1), (8, 100), (100, 8), (5, 5)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_odd_pictures(size: tuple[int, int], kind: type[np.generic]) -> None:
    picture = np.full((*size, 3), np.iinfo(kind).max // 3, kind)
    field = make_field(parse_control("segment:person"), Context(Path()))
    found = field.values(make_view(picture, 4, 6, 0.0))
    assert found.shape == (4, 6) and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("degrees", [-30, 30, 180])
def test_people_in_turned_footage(
    degrees: int, views: list[View], steady: list[np.ndarray]
) -> None:
    """The networks know people who stand; upside down they find a third of them."""
    turn = cv2.getRotationMatrix2D((88, 72), degrees, 1.0)
    source = cv2.warpAffine(views[60].source, turn, (176, 144), borderMode=cv2.BORDER_REFLECT)
    found = cv2.resize(Person()(make_view(source, 72, 88, 0.0))[0], (176, 144)) > 0.5
    there = cv2.warpAffine(cv2.resize(steady[60], (176, 144)), turn, (176, 144)) > 0.5
    assert (found & there).sum() / there.sum() > (0.9 if degrees < 180 else 0.25)


def test_many_people_are_all_found(views: list[View], steady: list[np.ndarray]) -> None:
    crowd, there = np.full((720, 1280, 3), 90, np.uint8), np.zeros((180, 320), bool)
    for number in range(10):
        row, column = divmod(number, 5)
        share = cv2.resize(steady[number * 10], (176, 144))[..., None]
        area = np.s_[row * 360 + 150 :, column * 250 + 20 :][:2]
        place = crowd[area][:144, :176]
        place[:] = share * views[number * 10].source + (1 - share) * place
        small = cv2.resize(share, (44, 36), interpolation=cv2.INTER_AREA) > 0.5
        top, left = (row * 360 + 150) // 4, (column * 250 + 20) // 4
        there[top : top + 36, left : left + 44] |= small
    found = Person()(make_view(crowd, 180, 320, 0.0))[0] > 0.5
    assert (found & there).sum() / there.sum() > 0.5


# What is asked for


def test_every_is_an_option() -> None:
    spec = parse_control("fire=segment:person,every=5,smooth=0.5")
    assert spec.every == 5 and parse_control(str(spec)) == spec
    assert named_files("segment:person,every=5") == []


@pytest.mark.parametrize(
    ("control", "match"),
    [
        ("segment:person,every=0", "from 1 to 100"),
        ("segment:person,every=2.5", "from 1 to 100"),
        ("segment:person,every=many", "from 1 to 100"),
        ("motion,every=2", "every= is for segment"),
        ("segment:kmeans,every=2", "every= is for networks"),
        ("segment:car@mediapipe", "knows people and faces only"),
    ],
)
def test_what_cannot_be_asked_for(control: str, match: str) -> None:
    with pytest.raises(UserError, match=match) as caught:
        make_field(parse_control(control), Context(Path()))
    assert "\n" not in str(caught.value)
