"""How things look in a notebook."""

from __future__ import annotations

import base64
import html
import io
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from ncavideo.nca.ruleset import RuleSet

SWATCH, STEPS = 96, 300  # cells a side, and how long they grow
LARGEST = 20_000_000  # bytes of a clip that is put into a notebook; a larger one is only named
TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm"}


def ruleset_html(ruleset: RuleSet) -> str:
    """Return a rule set's name and a swatch of each rule, as HTML."""
    cells = "".join(
        f'<figure style="display:inline-block;margin:0 8px 8px 0"><img width="{SWATCH}"'
        f' height="{SWATCH}" alt="{html.escape(rule.name)}" src="{_swatch(ruleset, rule.name)}">'
        f"<figcaption>{html.escape(rule.name)}</figcaption></figure>"
        for rule in ruleset.rules
    )
    facts = f"{ruleset.channels} channels, {ruleset.hidden} hidden units"
    return f"<div><b>{html.escape(ruleset.name)}</b> ({facts})<br>{cells}</div>"


def clip_html(path: Path, text: str) -> str:
    """Return a rendered clip with what is said about it, as HTML."""
    said = html.escape(text)
    kind = TYPES.get(path.suffix.lower())
    if kind is None or not path.is_file() or path.stat().st_size > LARGEST:
        return f"<p>{said}</p>"
    data = base64.b64encode(path.read_bytes()).decode()
    source = f"data:{kind};base64,{data}"
    style = "max-width:100%"
    return f'<video controls loop muted style="{style}" src="{source}"></video><p>{said}</p>'


@lru_cache(64)
def _swatch(ruleset: RuleSet, rule: str) -> str:
    from PIL import Image

    from ncavideo.util.pixels import to_bytes

    picture: np.ndarray = ruleset.grow(SWATCH, SWATCH, {rule: 1.0}, steps=STEPS)
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(picture)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
