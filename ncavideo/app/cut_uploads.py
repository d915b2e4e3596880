"""Uploads whose connection broke: Gradio leaves on the disk what had arrived of them."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from ncavideo.app.first_script import App, Message, Receive, Send

PATH = "/upload"  # the end of the path that files are sent to
PARTIAL = "tmp????????"  # how Python's `tempfile` names them, until they are whole
GRAIN = 2.0  # seconds: file systems round the time of a change


class CutUploads:
    """An ASGI layer around `app` that removes unfinished uploads in the folder `root`.

    Which file is which upload's is not known. One that was last written to before every upload
    began that is still going on belongs to none of them.
    """

    def __init__(self, app: App, root: Path) -> None:
        self._app, self._root = app, root
        self._begun: dict[int, float] = {}  # of those that are going on, by seconds since the epoch
        self._count = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not str(scope.get("path", "")).endswith(PATH):
            await self._app(scope, receive, send)
            return
        self._count += 1
        number = self._count
        self._begun[number] = time.time()
        try:
            await self._app(scope, receive, send)
        finally:
            del self._begun[number]
            self._remove()

    def _remove(self) -> None:
        oldest = min(self._begun.values(), default=None)
        for path in self._root.glob(PARTIAL):
            with suppress(OSError):
                old = oldest is None or path.stat().st_mtime < oldest - GRAIN
                if old and path.is_file():
                    path.unlink()
