"""The known name that is nearest to one that is not known, for messages."""

from __future__ import annotations

from collections.abc import Iterable

LEAST_LIKENESS = 0.5  # difflib's ratio; at its own 0.6 `fier` is not like `fire`


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `word` whatever the case, None if none is like it."""
    import difflib  # only mistakes need it

    names = {name.lower(): name for name in reversed([*known])}
    close = difflib.get_close_matches(word.lower(), list(names), 1, LEAST_LIKENESS)
    return names[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'fire'?)`, to follow the unknown name in a message, or nothing."""
    close = nearest(word, known)
    return f" (did you mean {close!r}?)" if close is not None else ""
