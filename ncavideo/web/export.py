"""A rule set as one self-contained HTML page that runs it, live, in WebGL 2."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ncavideo.control import levels
from ncavideo.control.luminance import DEFAULT_CONTRAST
from ncavideo.nca.inputs import LEAST_STRENGTH
from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering.frame_renderer import DARKEST_LIGHT
from ncavideo.util.atomic_write import check_output, replacing
from ncavideo.util.errors import OutputError
from ncavideo.util.pixels import LUMINANCE
from ncavideo.web.pregrown import pregrown

SCRIPTS = (
    "shaders.js",
    "engine.js",
    "pregrown.js",
    "control.js",
    "brush.js",
    "source.js",
    "recorder.js",
    "shortcuts.js",
    "address.js",
    "page.js",
)


def page(ruleset: RuleSet) -> str:
    """Return the page. It asks no other host for anything, and its policy forbids it to."""
    style = part("page.css")
    script = "\n".join(part(name).replace('"use strict";\n', "") for name in SCRIPTS)
    # A block, so that the page's names do not meet those of what embeds it.
    script = f'"use strict";\n{{\nconst CONTROL = {json.dumps(constants())};\n{script}}}\n'
    policy = (
        f"default-src 'none'; script-src '{digest(script)}'; style-src '{digest(style)}';"
        " media-src blob: mediastream:; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    filled = part("page.html")
    # The rule set's own text last: nothing is filled into it.
    for place, text in (
        ("POLICY", policy), ("STYLE", style), ("SCRIPT", script), ("RULESET", _as_json(ruleset)),
    ):  # fmt: skip
        filled = filled.replace(f"%{place}%", text, 1)
    return filled


def constants() -> dict[str, float | list[float]]:
    """Return the numbers of the renderer's luminance control by their names in `control.js`.

    A page that had them by hand would drift from the renderer.
    """
    return {
        "BINS": levels.Thresholds.BINS,
        "CONTRAST": DEFAULT_CONTRAST,
        "CUT": levels.CUT,
        "DARKEST_LIGHT": DARKEST_LIGHT,
        "EXTREMES": list(levels.EXTREMES),
        "FLAT": levels.FLAT,
        "LEAST_SHARE": levels.LEAST_SHARE,
        "LEAST_SPAN": levels.LEAST_SPAN,
        "LEAST_STRENGTH": LEAST_STRENGTH,
        "LUMINANCE": LUMINANCE.tolist(),
        "MOST_SHIFT": levels.MOST_SHIFT,
        "ROUNDS": levels.ROUNDS,
        "SMOOTHING": levels.SMOOTHING,
    }


def export(ruleset: RuleSet, output: Path, overwrite: bool = False) -> int:
    """Write the page; return its size in bytes.

    Raises `UserError` for an output that cannot be, `OutputError` when writing fails.
    """
    check_output(output, (".html", ".htm"), overwrite)
    data = page(ruleset).encode()
    try:
        with replacing(output, overwrite) as partial:
            partial.write_bytes(data)
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}") from error
    return len(data)


def _as_json(ruleset: RuleSet) -> str:
    facts: dict[str, Any] = {
        "name": ruleset.name,
        "rules": [{"name": rule.name, "prompt": rule.prompt} for rule in ruleset.rules],
        "inputs": list(ruleset.inputs),
        "channels": ruleset.channels,
        "hidden": ruleset.hidden,
        "fire_rate": ruleset.fire_rate,
        "w1": _weights(ruleset.w1),
        "b1": _weights(ruleset.b1),
        "w2": _weights(ruleset.w2),
        "pregrown": pregrown(ruleset),
    }
    decoder = ruleset.decoder
    if decoder is not None:
        facts["decoder"] = {
            "hidden": decoder.hidden,
            "pixels": decoder.pixels,
            "w1": _weights(decoder.w1),
            "b1": _weights(decoder.b1),
            "w2": _weights(decoder.w2),
        }
    # No text in it can end the element that holds it.
    return json.dumps(facts).replace("<", "\\u003c").replace(">", "\\u003e")


def _weights(array: np.ndarray) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def part(name: str) -> str:
    """Return one of the files that pages are made of."""
    return (resources.files("ncavideo.web") / name).read_text("utf-8")


def digest(text: str) -> str:
    """Return what a Content-Security-Policy calls a script or style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
