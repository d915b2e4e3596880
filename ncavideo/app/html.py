"""HTML of the page's messages; all texts are escaped here."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

FILES = "gradio_api/file="  # where Gradio serves a session's files, beside the page
VIDEOS = (".mp4", ".webm", ".mov", ".m4v")
PICTURES = (".gif",)


def bar(text: str, done: int = 0, total: int | None = None) -> str:
    """Return a line of text over a progress bar; without a `total` the bar says nothing."""
    share = f' value="{done}" max="{total}"' if total else ""
    return (
        f'<div class="nca-bar" role="status">{html.escape(text)}<progress{share}></progress></div>'
    )


def line(text: str, kind: str = "note") -> str:
    """Return a line of text; `kind`: note, good or bad."""
    return f'<div class="nca-line nca-{kind}" role="status">{html.escape(text)}</div>'


def lines(texts: list[str], kind: str = "note") -> str:
    """Return several."""
    return "".join(line(text, kind) for text in texts)


def sentence(text: str) -> str:
    """Return an error of the command line as a sentence of the page."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def seconds(value: float) -> str:
    """Return a length of time in words."""
    value = round(value)
    if value < 100:
        return f"{value} s"
    return f"{round(value / 60)} min" if value < 5400 else f"{value / 3600:.1f} h"


def strip(pictures: Mapping[str, np.ndarray]) -> str:
    """Return each rule's picture `[h, w, 3]` uint8 with its name, side by side."""
    figures = []
    for name, picture in pictures.items():
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=88)
        source = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        caption = f"<figcaption>{html.escape(name)}</figcaption>"
        figures.append(f'<figure><img src="{source}" alt="">{caption}</figure>')
    return f'<div class="nca-strip">{"".join(figures)}</div>'


def before_and_after(clip: Path, output: Path, part: str = "") -> str:
    """Return the clip and the output side by side, as far as a browser plays them.

    `part`: the seconds of the clip that were rendered, as a media fragment writes them: `2,5`.
    """
    figures = []
    for name, path, of in (("Before", clip, part), ("After", output, "")):
        address = html.escape(FILES + quote(str(path)) + (f"#t={of}" if of else ""), quote=True)
        if path.suffix.lower() in VIDEOS:
            shown = f'<video src="{address}" controls loop muted autoplay playsinline></video>'
        elif path.suffix.lower() in PICTURES:
            shown = f'<img src="{address}" alt="{name}">'
        else:
            what = f"No browser plays {html.escape(path.suffix)} files"
            shown = f"<p>{what}: download it. The moment above shows both.</p>"
        figures.append(f"<figure>{shown}<figcaption>{name}</figcaption></figure>")
    return f'<div class="nca-pair">{"".join(figures)}</div>'
