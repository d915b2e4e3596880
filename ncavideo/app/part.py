"""The files of the page that are not Python."""

from __future__ import annotations

from importlib import resources


def part(name: str) -> str:
    """Return the text of a script or style sheet of the app."""
    return (resources.files("ncavideo.app") / name).read_text("utf-8")
