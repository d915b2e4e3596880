"""Which tabs are open: each holds a stream, Gradio's heartbeat, for as long as it is."""

from __future__ import annotations

from ncavideo.app.first_script import App, Message, Receive, Send
from ncavideo.app.sessions import Sessions

STREAM = "/heartbeat/"  # what the path of such a stream has before the tab's hash


class Presence:
    """An ASGI layer around `app` that tells `sessions` when a tab's stream begins and ends.

    Gradio tells of a tab that is closed as well, but not of one whose stream never began.
    """

    def __init__(self, app: App, sessions: Sessions) -> None:
        self._app, self._sessions = app, sessions

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        _, found, key = str(scope.get("path", "")).rpartition(STREAM)
        if scope["type"] != "http" or not found:
            await self._app(scope, receive, send)
            return
        self._sessions.arrive(key)
        try:
            await self._app(scope, receive, send)
        finally:
            self._sessions.leave(key)
