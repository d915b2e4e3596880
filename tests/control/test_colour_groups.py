"""Segmentation into groups of colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from segmented_frames import HEIGHT, WIDTH, frame_view, make, three_stripes

from ncavideo.control.driver import Driver
from ncavideo.control.field import Context

pytestmark = pytest.mark.slow


def test_three_colours_are_three_groups_the_brightest_first() -> None:
    context = Context(Path())
    fields = [make(f"kmeans:{part}of3", context) for part in (1, 2, 3)]
    view = frame_view(three_stripes(0))
    found = [field.values(view) for field in fields]
    np.testing.assert_allclose(sum(found), 1, atol=1e-5)
    for part, values in enumerate(found):
        third = slice(part * WIDTH // 3 + 3, (part + 1) * WIDTH // 3 - 3)
        assert values[:, third].min() > 0.9
    assert len(context.shared) == 1


def test_groups_keep_their_names_while_the_light_changes() -> None:
    context = Context(Path())
    fields = [make(f"kmeans:{part}of3", context) for part in (1, 2, 3)]
    for index in range(50):
        dim = 1 - 0.45 * index / 49
        view = frame_view(three_stripes(index, dim), index / 25)
        found = np.stack([field.values(view) for field in fields])
        winners = found.argmax(0)
        for part in range(3):
            third = winners[:, part * WIDTH // 3 + 3 : (part + 1) * WIDTH // 3 - 3]
            assert (third == part).mean() > 0.93, index


def test_a_group_keeps_its_name_when_it_turns_brighter_than_another() -> None:
    context = Context(Path())
    first, second = (make(f"kmeans:{part}of2", context) for part in (1, 2))
    for index in range(60):
        share = index / 59
        picture = np.zeros((HEIGHT, WIDTH, 3))
        picture[:, : WIDTH // 2] = np.array((0.9, 0.3, 0.3)) * (1 - 0.6 * share)
        picture[:, WIDTH // 2 :] = np.array((0.2, 0.3, 0.9)) * (0.4 + 0.6 * share)
        view = frame_view(picture, index / 25)
        left, right = first.values(view), second.values(view)
    assert left[:, : WIDTH // 2 - 3].min() > 0.9
    assert right[:, WIDTH // 2 + 3 :].min() > 0.9


def test_groups_are_shared_out_between_rules() -> None:
    driver = Driver(("fire", "moss", "water"), ["segment:kmeans"], Context(Path()))
    weights = driver.weights(frame_view(three_stripes(1)))
    for rule in range(3):
        assert weights[rule][:, rule * 32 + 3 : rule * 32 + 29].min() > 0.9
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 3)])
@pytest.mark.parametrize("argument", ["kmeans:1of3", "grabcut"])
def test_tiny_frames(size: tuple[int, int], argument: str) -> None:
    field = make(argument)
    for index in range(2):
        found = field.values(frame_view(np.full((*size, 3), 0.5), index / 25))
        assert found.shape == size
        assert np.isfinite(found).all()
