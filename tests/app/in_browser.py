"""The app as tests see it: a server of its own, and what they do in its tabs."""

from __future__ import annotations

import inspect
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import patience
import pytest
from patience import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
IN_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here"),
]


class Server:
    """An app of its own, with its own place for temporary files."""

    def __init__(
        self, folder: Path, *arguments: str, program: Sequence[str] = ("-m", "ncavideo")
    ) -> None:
        self.folder = folder
        environment = {**os.environ, "TMPDIR": str(folder)}
        environment.pop("GRADIO_TEMP_DIR", None)
        self.process = subprocess.Popen(
            [sys.executable, *program, "ui", "--no-open", "--port", "0", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stderr is not None
        told = self.process.stderr.readline()
        found = re.search(r"http://\S+(?=;)", told)
        assert found, told
        self.address = found[0]

    def sessions(self) -> list[Path]:
        """The folders of the open tabs."""
        return [f for root in self.root() for f in root.iterdir() if len(f.name) == 32]

    def root(self) -> list[Path]:
        return list(self.folder.glob("ncavideo-ui-*"))

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


def make_clip(path: Path, frames: int, size: str = "160x90") -> None:
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s={size}:r=12",
         "-frames:v", str(frames), "-pix_fmt", "yuv420p", str(path)],
        check=True,
    )  # fmt: skip


def drop(tab: Any, where: str, *files: Path) -> None:
    tab.set_input_files(f"{where} input[type=file]", [str(file) for file in files])


def drop_until(taken: Callable[[], bool], tab: Any, where: str, *files: Path) -> None:
    """Drop files on a field that may just have come into view, until they are taken: see `hold`."""
    dropped = -math.inf

    def there() -> bool:
        nonlocal dropped
        if not taken() and time.monotonic() > dropped + 60:
            dropped = time.monotonic()
            drop(tab, where, *files)
        return taken()

    patience.until(there, f"what was dropped on {where}", every=0.1)


def previewed(tab: Any, clip: Path) -> None:
    drop_until(lambda: bool(tab.is_visible("#compare img")), tab, "#clip", clip)


def said(tab: Any, where: str, *words: str) -> str:
    """Wait until one of the words is told, and return the whole text."""

    def text() -> str:
        return str(tab.inner_text(where)) if tab.is_visible(where) else ""

    def told() -> str:
        there = text()
        return there if any(word in there for word in words) else ""

    return patience.until(told, f"any of {words} in {where}", text, every=0.1)


def choose(tab: Any, where: str, option: str) -> None:
    tab.click(f"{where} input")
    tab.click(f"[role=option]:has-text('{option}')")


def enter(tab: Any, where: str, value: str, key: str = "Enter") -> None:
    """Type a value into a field that may just have come into view."""

    def typed() -> None:
        tab.fill(where, value)
        tab.keyboard.press(key)

    hold(tab, where, lambda there: there == value, typed)


def hold(tab: Any, where: str, right: Callable[[str], bool], again: Callable[[], None]) -> None:
    """Set a field that may just have come into view, until it keeps what it was given.

    Gradio mounts what was folded up when it is opened and then sets what it held, also over what
    was entered in the instant between, which no hand can do.
    """
    held = 0  # looks in a row that found it there

    def holds() -> bool:
        nonlocal held
        held += 1
        if not right(tab.input_value(where)):
            held = 0
            again()
        return held >= 20

    patience.until(holds, f"what was entered in {where}", lambda: tab.input_value(where), every=0.1)


def choose_ruleset(tab: Any, name: str, rule: str) -> None:
    """Choose a rule set, and wait for the swatch of one of its rules."""
    hold(tab, "#ruleset input", lambda there: there == name, lambda: choose(tab, "#ruleset", name))
    tab.wait_for_selector(f"#strip button[data-rule={rule}]")


def own_control(tab: Any, rule: str, option: str) -> None:
    """Show the rules' own controls, and choose that of one rule."""
    where = f"#own-controls [id^=own-]:has(span:text-is('{rule}'))"
    tab.click("#own-controls button")
    hold(tab, f"{where} input", lambda there: option in there, lambda: choose(tab, where, option))


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition on a tab holds; if it never does, tell what the tab shows instead."""
    what = inspect.getsource(condition).strip()
    tabs = [cell.cell_contents for cell in condition.__closure__ or ()]
    tab = next((tab for tab in tabs if hasattr(tab, "input_value")), None)

    def shown() -> object:
        if tab is None:
            return None
        return tab.input_value("#command textarea"), tab.inner_text("#said")

    patience.until(condition, what, shown, every=0.1)


@contextmanager
def tab_through(browser: Any, server: Server, answered: Callable[[bytes], bytes]) -> Iterator[Any]:
    """Open a tab whose answers from the server pass through `answered`."""
    with between(urllib.parse.urlsplit(server.address).port, answered) as port:
        context = browser.new_context()
        tab = context.new_page()
        tab.set_default_timeout(1000 * PATIENCE)
        tab.goto(f"http://127.0.0.1:{port}")
        tab.wait_for_selector("#strip img")
        yield tab
        context.close()


def without_value(value: bytes) -> tuple[Callable[[bytes], bytes], list[bytes]]:
    """Return what takes a component's new value from answers, and the answers that had it.

    A busy page misses some. The value is there under another name: as many bytes.
    """
    had: list[bytes] = []
    sent, hidden = b'"value":' + value, b'"other":' + value

    def losing(answer: bytes) -> bytes:
        if sent in answer:
            had.append(answer)
        return answer.replace(sent, hidden)

    return losing, had


@contextmanager
def between(port: int | None, answered: Callable[[bytes], bytes]) -> Iterator[int]:
    """Forward to a port; what comes back from there passes through `answered`."""

    def forward(source: socket.socket, target: socket.socket, each: Any) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(each(data))
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def forward_both(near: socket.socket, far: socket.socket) -> None:
        with near, far:
            back = threading.Thread(target=forward, args=(far, near, answered), daemon=True)
            back.start()
            forward(near, far, bytes)
            back.join()

    def listen() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                threading.Thread(target=forward_both, args=(near, far), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=listen, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def held_back(tab: Any, text: str, most: float = math.inf) -> list[Any]:
    """Hold back what the page sends with `text` in it, and return what is held: `most` at most."""
    held: list[Any] = []

    def slow_for_one(route: Any) -> None:
        if text in (route.request.post_data or "") and len(held) < most:
            held.append(route)
        else:
            route.continue_()

    tab.route("**/queue/join*", slow_for_one)
    return held


def workers(server: Server) -> list[str]:
    """The renders that are going on."""
    listed = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(server.process.pid)], capture_output=True, text=True
    )
    return [line for line in listed.stdout.splitlines() if "batch.worker" in line]


def places(tab: Any) -> dict[str, str | None]:
    """The rules on the swatches, with their places among those chosen."""
    found = tab.locator("#strip button").evaluate_all(
        "all => all.map(b => [b.innerText.trim(), b.ariaPressed, b.dataset.place])"
    )
    assert all((pressed == "true") == (place is not None) for _, pressed, place in found)
    return {name: place for name, _, place in found}
