"""The chosen moment as a picture of the clip's full size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ncavideo.app import html as shown
from ncavideo.app import preview_process
from ncavideo.app.refusals import bad
from ncavideo.app.render_form import shown_options
from ncavideo.app.service import Service
from ncavideo.app.sessions import Session
from ncavideo.app.shown_rules import shown_rules
from ncavideo.nca.catalog import presets
from ncavideo.rendering.command_line import frame_command
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import OutputError, UserError

Asked = Callable[[dict[Any, Any], Session, Path], tuple[RenderOptions, str]]


class PicturePanel:
    """The button, where it is created; `make_result` makes the place of what it gives."""

    def __init__(self) -> None:
        self.go = gr.Button(
            "This moment as a PNG", interactive=False, size="md", elem_id="picture", min_width=90
        )

    def make_result(self) -> None:
        """Make the link to the picture, and its command line."""
        self.news = gr.HTML(elem_id="picture-news")
        self.command = gr.Textbox(
            label="The picture as command line", lines=1, interactive=False, visible=False,
            buttons=["copy"], elem_id="picture-command",
        )  # fmt: skip

    def connect(
        self, service: Service, clip: gr.File, time: gr.Slider, inputs: set[Any], rules: Any,
        asked: Asked,
    ) -> None:  # fmt: skip
        """Connect the handlers.

        `inputs`: the form's, and which of them has the `rules`; `asked`: what the form asks for,
        and the output's name.
        """
        self._service, self._time, self._asked = service, time, asked
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        quiet["concurrency_limit"] = None
        told = [self.news, self.command, self.go]
        self.go.click(
            self._make, inputs, told, trigger_mode="once", js=shown_rules(inputs, rules), **quiet
        )
        clip.change(self._reset, clip, told, **quiet)

    def _reset(self, clip: str | None) -> tuple[Any, ...]:
        """Take back the picture of another clip."""
        return "", gr.update(visible=False), gr.update(interactive=clip is not None)

    async def _make(
        self, values: dict[Any, Any], request: gr.Request
    ) -> AsyncIterator[tuple[Any, ...]]:
        from ncavideo.rendering.preview import frame_output

        session, gone = self._service.session(request), gr.update(visible=False)
        busy, idle = gr.update(interactive=False), gr.update(interactive=True)
        clip, time = session.clip, float(values[self._time] or 0)
        try:
            if clip is None:
                raise UserError("drop a clip first")
            options, _ = self._asked(values, session, clip)
            yield shown.bar("Making the picture"), gone, busy
            folder = session.place("picture")
            output = folder / frame_output(clip.stem, time)
            notes = await self._service.moments.run(
                preview_process.picture, clip, options, time, output
            )
        except (UserError, OutputError, OSError) as error:
            yield bad(session, error), gone, idle
            return
        session.keep_only("picture", folder)
        with Image.open(output) as image:
            size = f"{image.width}x{image.height}"
        link = shown.download(output, f"Download {output.name} ({size})")
        command = frame_command(clip.name, shown_options(options, presets()), time)
        yield link + shown.lines(notes), gr.update(value=command, visible=True), idle
