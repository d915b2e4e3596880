"""What a message suggests for an unknown name."""

from __future__ import annotations

import pytest

from ncavideo.util.nearest import did_you_mean, nearest

NAMES = ("fire", "moss", "ice", "crystal", "sand", "bark", "Ember")


@pytest.mark.parametrize(
    ("word", "name"),
    [("fier", "fire"), ("ifre", "fire"), ("FYRE", "fire"), ("mos", "moss"), ("chrystal", "crystal"),
     ("embers", "Ember")],
)  # fmt: skip
def test_a_slip_is_seen(word: str, name: str) -> None:
    assert nearest(word, NAMES) == name
    assert did_you_mean(word, NAMES) == f" (did you mean {name!r}?)"


@pytest.mark.parametrize("word", ["noir", "rust", "pixel", "burn", "snow", ""])
def test_another_word_is_no_slip(word: str) -> None:
    assert nearest(word, NAMES) is None
    assert did_you_mean(word, NAMES) == ""
