"""All finished renders of a tab in one download."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import gradio as gr

from ncavideo.app import html as shown
from ncavideo.app.archive import Archive
from ncavideo.app.background import in_background
from ncavideo.app.refusals import bad
from ncavideo.app.service import Service
from ncavideo.util.errors import OutputError, UserError

NAME = "renders.zip"
FEWEST = 2  # clips; one has its own download


class ArchivePanel:
    """The button, where it is created; `make_result` makes the place of what it gives."""

    def __init__(self) -> None:
        self.go = gr.Button(visible=False, elem_id="archive", min_width=90)

    def make_result(self) -> None:
        """Make the link to the archive."""
        self._news = gr.HTML(elem_id="archive-news")

    def connect(self, service: Service) -> None:
        """Connect the handler."""
        self._service = service
        self.go.click(
            self._make, None, [self._news, self.go], trigger_mode="once", concurrency_limit=None,
            show_progress="hidden", api_visibility="private",
        )  # fmt: skip

    def offer(self, finished: int) -> Any:
        """Return the button's update for so many finished renders."""
        return gr.update(value=f"All {finished} as a zip", visible=finished >= FEWEST)

    def _make(self, request: gr.Request) -> Iterator[tuple[Any, Any]]:
        session = self._service.session(request)
        busy, idle = gr.update(interactive=False), gr.update(interactive=True)
        folder = session.place("archive")
        # The last one goes first: the disk need not hold both.
        session.keep_only("archive", folder)
        finished = [e.output for e, status in session.renders.entries() if status.state == "done"]
        archive = Archive(finished, folder / NAME)
        session.run("archive", archive)
        yield shown.bar("Writing the archive"), busy
        try:
            for done, total in in_background(archive.write()):
                share = 100 * done // max(total, done, 1)
                yield shown.bar(f"Writing the archive: {share} %", share, 100), busy
        except (UserError, OutputError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            yield bad(session, error), idle
            return
        finally:
            session.run("archive", None)
        size = shown.size(archive.output.stat().st_size)
        clips = "1 clip" if archive.count == 1 else f"{archive.count} clips"
        yield shown.download(archive.output, f"Download {NAME} ({clips}, {size})"), idle
