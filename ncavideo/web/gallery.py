"""A static gallery: one page with all rule sets, each of them running when it is touched."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ncavideo.nca.ruleset import RuleSet
from ncavideo.util.atomic_write import replacing
from ncavideo.util.errors import OutputError, UserError
from ncavideo.web.export import digest, export, part

TILE, STEPS = 180, 500  # cells a side of each rule's picture, and how long it grows
INDEX = "index.html"


def gallery(
    rulesets: Sequence[RuleSet],
    folder: Path,
    overwrite: bool = False,
    news: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write `index.html` and a page for each rule set into `folder`; return the files.

    `news`: is told how many rule sets of how many are done. Raises `UserError` for rule
    sets of one name or files that are there, `OutputError` when writing fails.
    """
    names = [ruleset.name for ruleset in rulesets]
    for name in names:
        if names.count(name) > 1 or f"{name}.html" == INDEX:
            raise UserError(f"two pages would be called {name}.html: rename a rule set")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be made: {error.strerror}") from error
    index = folder / INDEX
    files = [index, *(folder / f"{name}.html" for name in names)]
    for file in files:
        if file.exists() and not overwrite:
            raise UserError(f"{file} exists: name another folder or give --overwrite")
    cards = []
    for ruleset, file in zip(rulesets, files[1:], strict=True):
        export(ruleset, file, overwrite)
        cards.append(_card(ruleset))
        news(len(cards), len(rulesets))
    try:
        with replacing(index, overwrite) as partial:
            partial.write_text(_index(cards), "utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {index}: {error.strerror or error}") from error
    return files


def _index(cards: Sequence[str]) -> str:
    style, script = part("gallery.css"), part("gallery.js")
    policy = (
        f"default-src 'none'; script-src '{digest(script)}'; style-src '{digest(style)}';"
        " img-src data:; frame-src 'self' file:; base-uri 'none'; form-action 'none'"
    )
    text = part("gallery.html")
    for place, filling in (
        ("POLICY", policy), ("STYLE", style), ("SCRIPT", script), ("CARDS", "\n".join(cards)),
    ):  # fmt: skip
        text = text.replace(f"%{place}%", filling, 1)
    return text


def _card(ruleset: RuleSet) -> str:
    name = html.escape(ruleset.name)
    prompts = "".join(
        f"<li><b>{html.escape(rule.name)}</b> {html.escape(rule.prompt)}</li>"
        for rule in ruleset.rules
    )
    return (
        f'<article><div class="window"><img alt="" src="{_picture(ruleset)}">'
        f'<button type="button" data-page="{name}.html" aria-label="Run {name}">'
        f'<span>Touch it</span></button></div><div class="text"><h2>{name}</h2>'
        f'<ul class="prompts">{prompts}</ul><a href="{name}.html">Open the whole page</a>'
        "</div></article>"
    )


def _picture(ruleset: RuleSet) -> str:
    """Return a square of up to four rules, side by side, as a data URL."""
    rules = ruleset.rule_names[:4]
    tiles = [ruleset.grow(TILE, TILE, {rule: 1.0}, steps=STEPS) for rule in rules]
    columns = 1 if len(tiles) == 1 else 2
    while len(tiles) % columns:
        tiles.append(tiles[0])
    rows = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    picture = np.asarray(np.clip(np.concatenate(rows), 0, 1) * 255 + 0.5, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
