"""The files and processes of a session end with it: a real server, Chromium and plain HTTP."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

pytest.importorskip("gradio")
from in_browser import CHROMIUM, Server, make_clip, previewed, said, until, workers

pytestmark = pytest.mark.slow
# A server that takes a tab for gone after a second.
IMPATIENT = (
    "-c",
    "from ncavideo.app import server as s; s.LOOK, s.ABSENT = 0.2, 1.0;"
    " from ncavideo.cli.main import main; main()",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"), program=IMPATIENT)
    yield made
    children = Path(f"/proc/{made.process.pid}/task/{made.process.pid}/children")
    left = children.read_text().split() if children.exists() else []
    made.process.kill()
    made.process.wait()
    assert made.process.stderr is not None
    made.process.stderr.close()
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in left))


def files(server: Server) -> list[Path]:
    return [found for root in server.root() for found in root.rglob("*") if found.is_file()]


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
def test_a_closed_tab_takes_its_render_and_uploads_along(
    browser: Any, server: Server, tmp_path: Path
) -> None:
    long = tmp_path / "long.mp4"
    make_clip(long, 2000, "320x180")
    context = browser.new_context()
    tab = context.new_page()
    tab.set_default_timeout(1000 * PATIENCE)
    tab.goto(server.address)
    tab.wait_for_selector("#strip img")
    previewed(tab, long)
    tab.click("#render")
    said(tab, "#news", "of 2000 frames")
    assert workers(server) and [f for f in files(server) if f.name == "long.mp4"]
    context.close()
    until(lambda: not workers(server) and not server.sessions())
    until(lambda: not [f for f in files(server) if f.name == "long.mp4"])
    # It goes on for others.
    with urllib.request.urlopen(server.address + "config") as answer:
        assert answer.status == 200


def post(server: Server, path: str, body: bytes, kind: str) -> Any:
    connection = http.client.HTTPConnection(
        "127.0.0.1", urllib.parse.urlsplit(server.address).port, timeout=PATIENCE
    )
    connection.request("POST", path, body, {"Content-Type": kind})
    answer = connection.getresponse()
    found = json.loads(answer.read())
    assert answer.status == 200, found
    connection.close()
    return found


def test_a_session_without_a_stream_ends_after_a_time(server: Server) -> None:
    with urllib.request.urlopen(server.address + "config") as answer:
        config = json.load(answer)
    loads = [
        entry["id"]
        for entry in config["dependencies"]
        if any("load" in target for target in entry["targets"])
    ]
    for number in loads:
        asked = {"data": [], "fn_index": number, "session_hash": "silent", "trigger_id": None}
        post(server, "/gradio_api/queue/join", json.dumps(asked).encode(), "application/json")
    until(lambda: bool(server.sessions()))
    until(lambda: not server.sessions())


def test_an_upload_that_is_cut_leaves_nothing(server: Server) -> None:
    before = set(files(server))
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="cut.mp4"\r\n\r\n'
    with socket.create_connection(
        ("127.0.0.1", urllib.parse.urlsplit(server.address).port or 0), PATIENCE
    ) as sent:
        sent.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 50000000\r\n\r\n"
            + head
        )
        for _ in range(20):
            sent.sendall(bytes(1 << 20))
        # It has to be there before it can be told that it went.
        until(lambda: not set(files(server)) <= before)
    until(lambda: set(files(server)) <= before)
