"""Several clips, or a folder of them, that are rendered with the form's look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from ncavideo.app import html as shown
from ncavideo.app.queue_panel import QueuePanel
from ncavideo.app.refusals import bad
from ncavideo.app.service import Service
from ncavideo.app.shown_rules import shown_rules
from ncavideo.batch.jobs import is_clip
from ncavideo.util.errors import UserError


class BatchPanel:
    """The fields of the clips, where they are created, and what adds them to the list of renders.

    `suffixes`: the kinds of files that the field for clips takes, as Gradio names them.
    """

    def __init__(self, suffixes: list[str]) -> None:
        with gr.Accordion("Several clips with this look", open=False, elem_id="batch"):
            with gr.Row():
                self._clips = gr.File(
                    label="Clips", file_count="multiple", file_types=suffixes, height=130,
                    min_width=200, elem_id="batch-clips",
                )  # fmt: skip
                self._folder = gr.File(
                    label="Or a folder with clips", file_count="directory", height=130,
                    min_width=200, elem_id="batch-folder",
                )  # fmt: skip
            self._go = gr.Button("Render all of them", elem_id="batch-render")
            self._news = gr.HTML(elem_id="batch-news")

    def connect(self, service: Service, inputs: set[Any], rules: Any, queue: QueuePanel) -> None:
        """Connect the handlers.

        `inputs`: the form's, and which of them has the `rules`; `queue`: what renders.
        """
        self._service, self._queue = service, queue
        fields = [self._clips, self._folder]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        quiet["concurrency_limit"] = None
        # What was told of the last clips goes when others come.
        gr.on([field.upload for field in fields], lambda: "", None, self._news, **quiet)
        read = {*inputs, *fields}
        added = self._go.click(
            self._add, read, [self._news, *fields], trigger_mode="once",
            js=shown_rules(read, rules), **quiet,
        )  # fmt: skip
        queue.follow(added)

    def _add(self, values: dict[Any, Any], request: gr.Request) -> tuple[Any, ...]:
        """Add the clips to the list; the fields are empty then, unless none was added."""
        session = self._service.session(request)
        clips = list(values[self._clips] or ())
        folder = sorted(values[self._folder] or (), key=lambda upload: Path(upload).name)
        clips += [upload for upload in folder if is_clip(Path(upload).name)]
        count = 0  # of those that are added
        try:
            if not clips:
                raise UserError(
                    "the folder has no clips" if folder else "drop clips, or a folder with clips"
                )
            for upload in clips:
                self._queue.add(values, session, session.take(upload, "clip"))
                count += 1
        except UserError as error:
            session.tidy()
            if not count:
                return bad(session, error), gr.skip(), gr.skip()
            left = f"{len(clips) - count} of {len(clips)} clips were not added: {error}"
            return bad(session, left), None, None
        session.tidy()
        said = "The clip is" if len(clips) == 1 else f"{len(clips)} clips are"
        return shown.line(f"{said} in the list of renders now."), None, None
