"""What other sites' pages send to the app is refused, whatever they ask for: a real server."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from patience import PATIENCE

from ncavideo.cli.main import main

pytest.importorskip("gradio")
from in_browser import CHROMIUM, Server

pytestmark = pytest.mark.slow

UPLOAD = (
    b'--x\r\nContent-Disposition: form-data; name="files"; filename="stored.txt"\r\n\r\n'
    b"from elsewhere\r\n--x--\r\n"
)
JOIN = json.dumps({"data": [], "fn_index": 0, "session_hash": "anybody"}).encode()
ASKED = {
    "config": ("GET", "/config", None, ""),
    "upload": ("POST", "/gradio_api/upload", UPLOAD, "multipart/form-data; boundary=x"),
    "join": ("POST", "/gradio_api/queue/join", JOIN, "application/json"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(
        tmp_path_factory.mktemp("server"), "--allow-host", "nca.example", "--most-upload", "0.001"
    )
    yield made
    made.process.kill()
    made.process.wait()
    assert made.process.stderr is not None
    made.process.stderr.close()


def ask(server: Server, what: str, **headers: str) -> tuple[int, str]:
    method, path, body, kind = ASKED[what]
    port = urllib.parse.urlsplit(server.address).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    sent = {"Content-Type": kind} if kind else {}
    connection.request(method, path, body, sent | headers)
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    return answer.status, said


def stored(server: Server) -> list[Path]:
    return [found for root in server.root() for found in root.rglob("stored.txt")]


@pytest.mark.parametrize("what", ASKED)
def test_what_other_sites_ask_for_is_refused(server: Server, what: str) -> None:
    port = urllib.parse.urlsplit(server.address).port
    before = stored(server)
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Host": f"evil.example:{port}"},
        {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"},
        {"Host": f"nca.example.evil.example:{port}"},
        {"Host": "["},
        {"Host": ""},
    ):
        status, said = ask(server, what, **headers)
        assert status == 403, headers
        assert said.startswith("this app ") and said.count("\n") == 0
    assert stored(server) == before


@pytest.mark.parametrize("what", ASKED)
def test_its_own_page_and_plain_programs_are_answered(server: Server, what: str) -> None:
    port = urllib.parse.urlsplit(server.address).port
    own: list[dict[str, str]] = [
        {},
        *({"Host": host, "Origin": f"http://{host}"} for host in (
            f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}",
            "localhost:8000",  # a tunnel's end
            "nca.example",
        )),
        # A reverse proxy that does not hand on the name that it was called by.
        {"Host": f"127.0.0.1:{port}", "Origin": "https://nca.example"},
    ]  # fmt: skip
    for headers in own:
        status, said = ask(server, what, **headers)
        assert status == 200, (headers, said)


def test_a_socket_of_another_site_is_refused(server: Server) -> None:
    port = urllib.parse.urlsplit(server.address).port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as asked:
        asked.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://evil.example\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert asked.recv(1000).split(b"\r\n")[0].split()[1] == b"403"


def test_too_much_is_refused_before_it_is_stored(server: Server) -> None:
    """The limit of this server is 1 MB a file; what holds a file may be 1 MB more."""
    method, path, _, kind = ASKED["upload"]
    port = urllib.parse.urlsplit(server.address).port
    before = stored(server)

    def send(body: Any) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request(method, path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        return answer.status, said

    status, said = send(UPLOAD.replace(b"from", b"f" * 1_000_500))
    assert status == 413
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as asked:
        asked.sendall(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {kind}\r\n"
            "Content-Length: 100000000000\r\n\r\n".encode()
        )
        answer = asked.makefile().read()
    assert answer.split()[1] == "413" and "--most-upload" in answer
    status, said = send(iter([UPLOAD]))  # in pieces, of a length that is not told
    assert status == 411 and "length" in said
    assert stored(server) == before


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
def test_another_sites_page_stores_nothing(server: Server) -> None:
    from playwright.sync_api import sync_playwright

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>elsewhere</title>")

        def log_message(self, *_: object) -> None: ...

    other = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    before = stored(server)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--headless=new", "--no-sandbox"]
            )
            tab = browser.new_page()
            answers: list[int] = []
            tab.on("response", lambda answer: answers.append(answer.status))
            tab.goto(f"http://127.0.0.1:{other.server_port}/")
            answers.clear()
            tab.evaluate(
                """async (address) => {
                    const form = new FormData();
                    form.append("files", new Blob(["from elsewhere"]), "stored.txt");
                    await fetch(address + "gradio_api/upload",
                        {method: "POST", mode: "no-cors", body: form});
                }""",
                server.address,
            )
            browser.close()
        assert answers == [403]
    finally:
        other.shutdown()
        other.server_close()
    assert stored(server) == before


@pytest.mark.parametrize("size", ["nan", "inf", "0", "-1"])
def test_a_limit_that_is_none_is_refused(size: str) -> None:
    result = CliRunner().invoke(main, ["ui", "--no-open", "--most-upload", size])
    assert result.exit_code == 2
    assert "--most-upload must be above 0" in result.output
