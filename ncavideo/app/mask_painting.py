"""The mask of the form: a file that is dropped, or painted over the picture of the moment."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import gradio as gr
from PIL import Image

from ncavideo.app import html as shown
from ncavideo.app import preview_process
from ncavideo.app.part import part
from ncavideo.app.refusals import bad
from ncavideo.app.render_form import own_slots
from ncavideo.app.service import Service
from ncavideo.util.errors import UserError

NAME = "painted.png"
CONTROL = "mask"  # the control that reads the form's mask
PNG = "data:image/png;base64,"
# A preview's picture is at most 960 pixels across; strokes of one colour are a few ten thousand
# bytes.
MOST_BYTES, MOST_PIXELS = 4_000_000, 1 << 22
SHAPE = 0.03  # relative difference of aspect ratios that rounding to whole pixels makes
BEGIN = (
    "() => document.querySelector('#painting .nca-easel').dispatchEvent(new Event('paint-begin'))"
)


class MaskPainting:
    """The painting, where it is created; `make_button` makes what begins it."""

    def __init__(self) -> None:
        self.easel = gr.HTML(
            part("mask_painting.html"), js_on_load=part("mask_painting.js"), elem_id="painting"
        )
        self.news = gr.HTML(elem_id="painting-news")

    def make_button(self) -> None:
        """Make the button that begins the painting; the page shows it beside a picture only."""
        self.go = gr.Button("Paint a mask", size="md", elem_id="paint", min_width=90)

    def connect(
        self, service: Service, mask: gr.File, control: Any, own: Sequence[Any]
    ) -> list[Any]:
        """Connect the handlers, and return the events after which the form is to be answered.

        `mask`: the field of the mask; `own`: those of the rules' own controls; `control`: that of
        the control of all other rules.
        """
        self._service, self._own = service, len(own)
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        quiet["concurrency_limit"] = None
        self.go.click(None, js=BEGIN)
        return [
            mask.change(self._take, mask, self.news, **quiet),
            self.easel.select(
                self._paint, None, [self.news, mask, control, *own], trigger_mode="multiple",
                **quiet,
            ),
        ]  # fmt: skip

    def _take(self, upload: str | None, request: gr.Request) -> Any:
        """Take the file that is in the field. A painted one has been taken before it came there."""
        session = self._service.session(request)
        if upload is not None and upload == str(session.mask):
            return gr.skip()
        session.mask = None if upload is None else session.take(upload, "mask")
        return ""

    async def _paint(self, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        """Take what was painted as the mask, and have it drive the rule that it was painted for."""
        session, keep = self._service.session(request), gr.skip()
        nothing = (keep,) * (3 + self._own)
        number, rule = int(event.number), str(event.rule)
        if number < session.painted:  # a newer one overtook this one on its way
            return nothing
        session.painted = number
        try:
            if session.clip is None:
                raise UserError("drop a clip first")
            if rule and rule not in session.chosen:
                raise UserError(f"the mask was painted for {rule}, which is not chosen any more")
            picture = painted_mask(event.png)
            known = await self._service.moments.run(preview_process.facts, session.clip)
            if number < session.painted or session.closed:
                return nothing
            path = session.place("mask") / NAME
            _as_large(picture, known.width, known.height).save(path)
        except (UserError, OSError) as error:
            return bad(session, error), *nothing[1:]
        session.mask = path
        session.set_form()
        own = list(nothing[3:])
        session.slots = own_slots(session.slots, session.chosen)
        if rule in session.slots:
            own[session.slots.index(rule)] = CONTROL
        drives = rule or "all rules"
        said = shown.line(f"What was painted is the mask now; it drives {drives}.", "good")
        return said, str(path), keep if rule else CONTROL, *own


def painted_mask(sent: object) -> Image.Image:
    """Return a painted mask as an 8-bit grey picture, white where it was painted.

    `sent`: the data URL of a PNG. Raises `UserError` for anything else, for a picture that is
    larger than a preview, and for one that is black throughout.
    """
    if not isinstance(sent, str) or not sent.startswith(PNG):
        raise UserError("a painted mask must be a PNG")
    if len(sent) > MOST_BYTES:
        raise UserError(
            f"a painted mask may have {MOST_BYTES / 1e6:g} MB, not {len(sent) / 1e6:.1f} MB"
        )
    try:
        with Image.open(
            io.BytesIO(base64.b64decode(sent[len(PNG) :], validate=True)), formats=["PNG"]
        ) as image:
            if image.width * image.height > MOST_PIXELS:
                raise UserError(
                    f"a painted mask may have {MOST_PIXELS} pixels, not"
                    f" {image.width}x{image.height}"
                )
            mask = image.convert("L")
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise UserError("the painted mask is no whole PNG") from error
    if not mask.getbbox():
        raise UserError("nothing is painted yet")
    return mask


def _as_large(mask: Image.Image, width: int, height: int) -> Image.Image:
    """Return a mask that was painted over a preview in the size of the clip."""
    if abs(mask.width * height / (mask.height * width) - 1) > SHAPE:
        return mask  # painted over a clip of another shape
    return mask.resize((width, height), Image.Resampling.BILINEAR)
