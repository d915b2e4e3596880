"""A script that runs before all others of the app's page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
HEAD = b"<head>"


class FirstScript:
    """An ASGI layer around `app` that begins the head of its page, at `/`, with `script`.

    What Gradio is given for the head comes after Gradio's own scripts.
    """

    def __init__(self, app: App, script: str) -> None:
        self._app, self._script = app, f"<script>{script}</script>".encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        started: Message = {}
        body = b""

        async def whole(message: Message) -> None:
            nonlocal started, body
            if message["type"] == "http.response.start":
                started = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            page = body.replace(HEAD, HEAD + self._script, 1)
            headers = [(k, v) for k, v in started["headers"] if k.lower() != b"content-length"]
            length = (b"content-length", str(len(page)).encode())
            await send({**started, "headers": [*headers, length]})
            await send({"type": "http.response.body", "body": page})

        # Compressed, the page could not be read here.
        plain = [(k, v) for k, v in scope["headers"] if k.lower() != b"accept-encoding"]
        await self._app({**scope, "headers": plain}, receive, whole)
