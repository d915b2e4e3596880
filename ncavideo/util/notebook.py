"""How things look in a notebook."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LARGEST = 20_000_000  # bytes of a clip that is put into a notebook; a larger one is only named
TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm"}


def pictures_html(title: str, facts: str, pictures: Mapping[str, np.ndarray]) -> str:
    """Return named pictures `[h, w, 3]`, 0..1, in a row under a title, as HTML."""
    cells = "".join(
        f'<figure style="display:inline-block;margin:0 8px 8px 0"><img width="{picture.shape[1]}"'
        f' height="{picture.shape[0]}" alt="{html.escape(name)}" src="{_png(picture)}">'
        f"<figcaption>{html.escape(name)}</figcaption></figure>"
        for name, picture in pictures.items()
    )
    return f"<div><b>{html.escape(title)}</b> ({html.escape(facts)})<br>{cells}</div>"


def clip_html(path: Path, text: str) -> str:
    """Return a rendered clip with a text about it, as HTML."""
    said = html.escape(text)
    kind = TYPES.get(path.suffix.lower())
    if kind is None or not path.is_file() or path.stat().st_size > LARGEST:
        return f"<p>{said}</p>"
    data = base64.b64encode(path.read_bytes()).decode()
    source = f"data:{kind};base64,{data}"
    style = "max-width:100%"
    return f'<video controls loop muted style="{style}" src="{source}"></video><p>{said}</p>'


def _png(picture: np.ndarray) -> str:
    """Return a picture as an address that holds it."""
    from PIL import Image

    from ncavideo.util.pixels import to_bytes

    buffer = io.BytesIO()
    Image.fromarray(to_bytes(picture)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
