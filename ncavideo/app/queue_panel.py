"""The renders of a tab on its page: asked for, listed, cancelled, shown again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from ncavideo.app import html as shown
from ncavideo.app.archive_panel import ArchivePanel
from ncavideo.app.part import part
from ncavideo.app.queue_list import queue_list
from ncavideo.app.refusals import bad
from ncavideo.app.render_form import shown_options
from ncavideo.app.render_job import Render
from ncavideo.app.render_queue import Entry
from ncavideo.app.service import Service
from ncavideo.app.sessions import Session
from ncavideo.app.shown_rules import shown_rules
from ncavideo.nca.catalog import presets
from ncavideo.rendering.command_line import option_words
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

TICK = 0.2  # seconds between two looks at the queue
_UNSENT: int | None = -1  # no number of a render
STALE = 3.0  # seconds after which someone who told of it is taken for gone
Asked = Callable[[dict[Any, Any], Session, Path], tuple[RenderOptions, str]]


class QueuePanel:
    """The components of the queue, made where it is created, and their handlers."""

    def __init__(self) -> None:
        with gr.Row(elem_id="render-row"):
            self.go = gr.Button("Render", variant="primary", elem_id="render", interactive=False)
            self.stop = gr.Button("Cancel", interactive=False, elem_id="cancel")
        self.news = gr.HTML(js_on_load=part("queue.js"), elem_id="news")
        self.result = gr.HTML(elem_id="result")
        with gr.Row(elem_id="download-row"):
            self.download = gr.DownloadButton(
                "Download", visible=False, elem_id="download", min_width=90
            )
            self._archive = ArchivePanel()
        self._archive.make_result()

    def connect(self, service: Service, inputs: set[Any], rules: Any, asked: Asked) -> None:
        """Connect the handlers.

        `inputs`: the form's, and which of them has the `rules`; `asked`: what the form asks for,
        and the output's name.
        """
        self._service, self._asked = service, asked
        self._archive.connect(service)
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        quiet["concurrency_limit"] = None
        for changed in (
            self.go.click(
                self._add, inputs, None, trigger_mode="once", js=shown_rules(inputs, rules), **quiet
            ),
            self.news.select(self._act, None, None, trigger_mode="multiple", **quiet),
            self.stop.click(self._cancel_all, None, None, **quiet),
        ):
            self.follow(changed)

    def follow(self, changed: Any) -> None:
        """Have the page told after an event that changes the queue.

        Whatever changes it, one handler tells of it: none can overtake another.
        """
        told = [self.news, self.result, self.download, self.stop, self._archive.go]
        changed.then(
            self._watch, None, told,
            trigger_mode="multiple", show_progress="hidden", api_visibility="private",
            concurrency_limit=None,
        )  # fmt: skip

    def _add(self, values: dict[Any, Any], request: gr.Request) -> None:
        """Have the clip rendered as the form says."""
        session = self._service.session(request)
        try:
            if session.clip is None:
                raise UserError("drop a clip first")
            self.add(values, session, session.clip)
        except UserError as error:
            session.renders.refuse(bad(session, error))
        session.tidy()

    def add(self, values: dict[Any, Any], session: Session, clip: Path) -> None:
        """Have a clip rendered as the form says. Raises `UserError`, also for a full queue."""
        options, name = self._asked(values, session, clip)
        words = _words(shown_options(options, presets()))
        folder = session.place("render")
        render = Render(clip, folder / name, options, self._service.renders)
        entry = Entry(
            clip, folder / name, options.rules, words, _part(options), session.mask, render
        )
        try:
            session.renders.add(entry)
        except UserError:
            folder.rmdir()
            raise

    def _act(self, event: gr.EventData, request: gr.Request) -> None:
        queue, number = self._service.session(request).renders, int(event.entry)
        if event.act == "cancel":
            queue.cancel(number)
        else:
            queue.show(number)

    def _cancel_all(self, request: gr.Request) -> None:
        self._service.session(request).renders.cancel_all()

    async def _watch(self, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        """Tell the page of the queue as long as something of it has not ended.

        One of these is enough, and the last thing that it yields is nothing: Gradio repeats that
        when all is done, over what the next one has told meanwhile.
        """
        session = self._service.session(request)
        queue, keep = session.renders, gr.skip()
        sent, result = -1, _UNSENT
        if queue.watched > time.monotonic():
            yield (keep,) * 5
            return
        while not session.closed:
            queue.watched = time.monotonic() + STALE
            version, active, number = queue.version, queue.active(), queue.shown
            if version != sent:
                after = self._shown(session) if number != result else (keep, keep)
                cancel = gr.update(
                    value="Cancel all" if active > 1 else "Cancel", interactive=bool(active)
                )
                finished = sum(status.state == "done" for _, status in queue.entries())
                all_of_them = self._archive.offer(finished)
                yield queue_list(session), *after, cancel, all_of_them
                sent, result = version, number
            elif not active:
                break
            if active:
                await asyncio.sleep(TICK)
        queue.watched = 0.0
        yield (keep,) * 5

    def _shown(self, session: Session) -> tuple[Any, Any]:
        """Return the render that is shown before and after, and the update of its download."""
        entry = session.renders.shown_entry()
        if entry is None:
            return "", gr.update(visible=False)
        pair = shown.before_and_after(entry.clip, entry.output, entry.part)
        return pair, gr.update(value=str(entry.output), visible=True)


def _words(options: RenderOptions) -> str:
    """Return the options of a look, beside its rules, as the command line has them."""
    words = option_words(options)
    at = words.index("--rules")
    return " ".join(words[:at] + words[at + 2 :])


def _part(options: RenderOptions) -> str:
    """Return the seconds of the clip that are rendered, as a media fragment writes them."""
    if not options.start and not options.duration:
        return ""
    begin = options.start or 0.0
    return f"{begin:g}" + (f",{begin + options.duration:g}" if options.duration else "")
