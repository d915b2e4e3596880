"""What tests of rule sets' files share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st

from ncavideo.nca.ruleset import RuleSet
from ncavideo.util.errors import UserError

Make = Callable[..., RuleSet]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def sentence(path: Path) -> str:
    """Return what loading says of a bad file. Anything but a `UserError` fails the test."""
    with pytest.raises(UserError) as caught:
        RuleSet.load(path)
    said = str(caught.value)
    assert "\n" not in said
    assert str(path) in said, "it must say which file"
    assert len(said) < len(str(path)) + 500
    return said
