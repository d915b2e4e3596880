"""Fixtures of the tests in a browser."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from in_browser import CHROMIUM, Server, make_clip
from patience import PATIENCE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    made.process.kill()
    made.process.wait()
    assert made.process.stderr is not None
    made.process.stderr.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--headless=new", "--no-sandbox"],
            timeout=1000 * PATIENCE,
        )
        yield found
        found.close()


@pytest.fixture
def open_tab(browser: Any, server: Server) -> Iterator[Callable[[], Any]]:
    """Open a tab for another user; it asks nobody but the app, and nothing fails in it."""
    contexts, asked, errors = [], set[str](), list[str]()

    def open_one() -> Any:
        context = browser.new_context(
            viewport={"width": 1280, "height": 900}, accept_downloads=True
        )
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(1000 * PATIENCE)
        tab.on("request", lambda request: asked.add(request.url))
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(server.address)
        tab.wait_for_selector("#strip img")
        return tab

    yield open_one
    for context in contexts:
        context.close()
    own = urllib.parse.urlsplit(server.address).netloc
    hosts = {
        urllib.parse.urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))
    }
    assert hosts == {own}
    assert errors == []


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "my clip.mp4"
    make_clip(path, 12)
    return path
