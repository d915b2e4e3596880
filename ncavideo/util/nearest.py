"""The known name that is nearest to one that is not known, for messages."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `word` whatever the case, None if none is like it."""
    import difflib  # only mistakes need it

    names, asked = {name.lower(): name for name in reversed([*known])}, word.lower()
    # Letters in another order are a slip that difflib hardly sees: `fier`.
    close = [name for name in names if sorted(name) == sorted(asked)]
    close = close or difflib.get_close_matches(asked, list(names), 1)
    return names[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'fire'?)`, to follow the unknown name in a message, or nothing."""
    close = nearest(word, known)
    return f" (did you mean {close!r}?)" if close is not None else ""
