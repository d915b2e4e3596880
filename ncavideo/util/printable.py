"""Texts from files and names, made safe to print on a terminal."""

from __future__ import annotations


def printable(text: object, keep: str = "\n") -> str:
    """Return a text with everything that a terminal would act on escaped, but what is in `keep`."""
    whole = str(text).encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in whole)
