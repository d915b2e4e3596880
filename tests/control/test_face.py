"""Faces: MediaPipe's networks give their makers' numbers, and a face is found where it is."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ncavideo.control import make_field
from ncavideo.control.field import Context, View, make_view
from ncavideo.control.optical_flow import OpticalFlow
from ncavideo.control.segmenters import shipped
from ncavideo.control.segmenters.face import DETECTOR, MESH, POINTS, THERE, Face, faces
from ncavideo.control.segmenters.person import Person
from ncavideo.control.segmenters.shipped import answers
from ncavideo.control.spec import parse_control
from ncavideo.util.errors import UserError

HERE = Path(__file__).parent
BENCHMARKS = HERE.parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def views() -> list[View]:
    """Twenty frames of a man talking in a car, on a grid of 2x2 pixels a cell."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        clips = importlib.import_module("clips")
    finally:
        sys.path.remove(str(BENCHMARKS))
    follow, found = OpticalFlow(), []
    for rgb, time in clips.frames(clips.carphone()):
        found.append(make_view(rgb, 72, 88, time, follow=follow))
        if len(found) == 20:
            return found
    raise AssertionError("the clip is shorter")


def test_the_networks_give_their_makers_numbers() -> None:
    """`make_face_reference.py` asked LiteRT."""
    sys.path.insert(0, str(HERE))
    try:
        reference = importlib.import_module("make_face_reference")
    finally:
        sys.path.remove(str(HERE))
    kept = json.loads(reference.REFERENCE.read_text("utf-8"))
    outputs = {DETECTOR: ("regressors", "classificators"), MESH: (POINTS, THERE)}
    for model, names in outputs.items():
        found = answers(model, reference.inputs()[model.file], names)
        for answer, wanted in zip(found, kept[model.file], strict=True):
            values = answer.ravel()[:: max(1, answer.size // 400)]
            np.testing.assert_allclose(values, wanted, atol=1e-2)


def test_a_face_is_where_the_eyes_are_and_within_its_person(views: list[View]) -> None:
    mask, person = Face()(views[0])[0], Person()(views[0])[0]
    (face,) = faces(views[0].source)
    assert 0.05 < (mask > 0.5).mean() < 0.12 and mask.dtype == np.float32
    assert (person[mask > 0.5] > 0.5).mean() > 0.97
    for x, y in face.eyes / 2:
        assert mask[round(y), round(x)] == 1


@pytest.mark.parametrize("degrees", [-50, -25, 25, 50])
def test_a_face_is_found_turned(degrees: int, views: list[View]) -> None:
    turn = cv2.getRotationMatrix2D((88, 72), degrees, 0.8)
    source = cv2.warpAffine(views[5].source, turn, (176, 144))
    found = cv2.resize(Face()(make_view(source, 72, 88, 0.0))[0], (176, 144)) > 0.5
    there = cv2.resize(Face()(views[5])[0], (176, 144))
    there = cv2.warpAffine(there, turn, (176, 144)) > 0.5
    assert (found & there).sum() / (found | there).sum() > 0.8


def test_upside_down_footage_has_something_of_a_face(views: list[View]) -> None:
    """The detector was made for heads that are up; the person is found all the same."""
    source = np.ascontiguousarray(views[5].source[::-1])
    found = Face()(make_view(source, 72, 88, 0.0))[0]
    there = Face()(views[5])[0][::-1] > 0.5
    assert ((found > 0.5) & ~there).mean() < 0.03


def test_several_faces_are_several(views: list[View]) -> None:
    row = np.concatenate([views[0].source, views[10].source[:, ::-1]], 1)
    found = Face()(make_view(row, 72, 176, 0.0))[0]
    assert len(faces(row)) == 2
    assert (found[:, :88] > 0.5).mean() > 0.05 and (found[:, 88:] > 0.5).mean() > 0.05


def test_the_mask_follows_and_a_resume_is_the_same(views: list[View]) -> None:
    through, resumed = (make_field(parse_control("segment:face"), Context(Path())) for _ in "ab")
    for view in views[:11]:
        through.values(view)
    resumed.load_state_dict(through.state_dict())
    for view in views[11:]:
        np.testing.assert_array_equal(resumed.values(view), through.values(view))
        assert 0.04 < (through.values(view) > 0.5).mean() < 0.13
    assert through.notes() == []


def test_nobody_is_told_once() -> None:
    field = make_field(parse_control("segment:face"), Context(Path()))
    noise = np.random.default_rng(0).integers(0, 255, (144, 176, 3)).astype(np.uint8)
    for number in range(3):
        assert field.values(make_view(noise, 72, 88, number / 2)).max() == 0
    assert field.notes() == ["segment:face found nobody in the clip"]


@pytest.mark.parametrize("size", [(1, 1), (8, 300), (300, 8), (5, 5)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_odd_pictures(size: tuple[int, int], kind: type[np.generic]) -> None:
    picture = np.full((*size, 3), np.iinfo(kind).max // 3, kind)
    found = make_field(parse_control("segment:face"), Context(Path())).values(
        make_view(picture, 4, 6, 0.0)
    )
    assert found.shape == (4, 6) and found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("model", [DETECTOR, MESH])
def test_a_damaged_network_is_one_sentence(
    model: shipped.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mediapipe"
    shutil.copytree(shipped.FOLDER, folder)
    (folder / model.file).write_bytes((folder / "LICENSE").read_bytes())
    monkeypatch.setattr(shipped, "FOLDER", folder)
    shipped.network.cache_clear()
    with pytest.raises(UserError, match=r"damaged: install ncavideo again") as caught:
        make_field(parse_control("segment:face"), Context(Path()))
    assert "\n" not in str(caught.value)
    shipped.network.cache_clear()
