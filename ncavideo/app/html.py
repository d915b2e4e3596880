"""HTML of the page's messages; all texts are escaped here."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from ncavideo.rendering.looks import ShippedLook

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


def size(count: int) -> str:
    """Return a number of bytes in words."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"


def swatches(
    rules: Sequence[str], chosen: Sequence[str], pictures: Mapping[str, np.ndarray], turn: int
) -> str:
    """Return a button for each rule, which is pressed if it is `chosen` and has its place there.

    `pictures`: `[h, w, 3]` uint8 by rule; a rule without one has a blank. `turn`: another number
    for each call, since a page replaces only HTML that differs from what it was given before,
    whatever clicks have made of that.
    """
    made = []
    for rule in rules:
        place = chosen.index(rule) + 1 if rule in chosen else 0
        at = f' data-place="{place}"' if place else ""
        state = f'aria-pressed="{"true" if place else "false"}"{at}'
        image = _jpeg(pictures[rule]) if rule in pictures else None
        made.append(_tile(f'data-rule="{html.escape(rule)}" {state}', rule, image))
    head = "<b>Rules</b> in the order of choosing, for the brightest parts first"
    return _tiles(head, "Rules", made, f'data-turn="{turn}"')


def look_tiles(looks: Iterable[ShippedLook]) -> str:
    """Return a button for each look, with its picture; what it is in a line shows as a tooltip."""
    made = []
    for look in looks:
        about = f'data-look="{html.escape(look.name)}" title="{html.escape(look.summary)}"'
        image = None if look.picture is None else look.picture.read_bytes()
        made.append(_tile(about, look.name, image))
    return _tiles("<b>Looks</b>, each for the whole form", "Looks", made, "")


def _tiles(head: str, label: str, made: list[str], attributes: str) -> str:
    group = f'<div class="nca-tiles" role="group" aria-label="{label}" {attributes}>'
    return f'<div class="nca-head">{head}</div>{group}{"".join(made)}</div>'


def _tile(attributes: str, name: str, jpeg: bytes | None) -> str:
    shown = '<span class="nca-blank"></span>'
    if jpeg is not None:
        source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        shown = f'<img src="{source}" alt="">'
    return f'<button type="button" {attributes}>{shown}<span>{html.escape(name)}</span></button>'


def _jpeg(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def download(path: Path, text: str) -> str:
    """Return a link that saves a file of the session."""
    address = html.escape(FILES + quote(str(path)), quote=True)
    name = html.escape(path.name, quote=True)
    return f'<a class="nca-save" href="{address}" download="{name}">{html.escape(text)}</a>'


def picture(path: Path, about: str) -> str:
    """Return a picture of the session, as wide as there is room; `about`: what it shows."""
    address = html.escape(FILES + quote(str(path)), quote=True)
    return f'<img class="nca-picture" src="{address}" alt="{html.escape(about, quote=True)}">'


def in_motion(clip: Path) -> str:
    """Return a looped clip, source on the left and result on the right, as `split.js` shows it."""
    address = html.escape(FILES + quote(str(clip)), quote=True)
    shown = f'<video src="{address}" loop muted autoplay playsinline></video>'
    return f'<div class="nca-motion"><nca-split>{shown}</nca-split></div>'


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
