"""Sessions whose tab is gone without a word end; those of open tabs do not."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ncavideo.app.first_script import Message, Receive, Send
from ncavideo.app.presence import Presence
from ncavideo.app.sessions import Sessions


async def request(layer: Presence, path: str) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        pass

    await layer({"type": "http", "path": path}, receive, send)


def test_a_session_ends_once_its_stream_is_cut(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    folders = {name: sessions.get(name).folder for name in ("open", "cut", "silent")}

    async def go() -> None:
        cut, end = asyncio.Event(), asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            if scope["path"].endswith("/open"):
                await end.wait()
            elif scope["path"].endswith("/cut"):
                await cut.wait()
                raise ConnectionResetError

        layer = Presence(app, sessions)
        streams = [
            asyncio.create_task(request(layer, f"/gradio_api/heartbeat/{name}"))
            for name in ("open", "cut")
        ]
        await asyncio.sleep(0.01)
        await request(layer, "/gradio_api/queue/join")
        sessions.end_absent(3600)
        assert all(folder.exists() for folder in folders.values())
        sessions.end_absent(0)
        assert {name for name, folder in folders.items() if folder.exists()} == {"open", "cut"}
        cut.set()
        await asyncio.sleep(0.01)
        sessions.end_absent(0)
        assert {name for name, folder in folders.items() if folder.exists()} == {"open"}
        end.set()
        await asyncio.gather(*streams, return_exceptions=True)

    asyncio.run(go())
    sessions.end_absent(0)
    assert not any(tmp_path.iterdir())
