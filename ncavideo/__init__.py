"""Turn video into living texture with multi-rule neural cellular automata.

import ncavideo

ncavideo.render("in.mp4", rules=["fire", "moss"], out="out.mp4")
texture = ncavideo.RuleSet.open("elements").grow(256, 256, {"fire": 1})
for frame in ncavideo.paint(frames, ["fire", "moss"], fps=25):
    ...
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ncavideo.util.errors import OutputError, UserError
from ncavideo.version import __version__

if TYPE_CHECKING:
    from ncavideo.nca.catalog import presets
    from ncavideo.nca.ruleset import RuleSet
    from ncavideo.rendering.api import paint, render
    from ncavideo.rendering.options import RenderOptions

__all__ = [
    "OutputError",
    "RenderOptions",
    "RuleSet",
    "UserError",
    "__version__",
    "paint",
    "presets",
    "render",
]

# Imported when they are asked for: most programs need a part, and torch alone takes seconds.
_HOMES = {
    "paint": "ncavideo.rendering.api",
    "render": "ncavideo.rendering.api",
    "RenderOptions": "ncavideo.rendering.options",
    "RuleSet": "ncavideo.nca.ruleset",
    "presets": "ncavideo.nca.catalog",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
