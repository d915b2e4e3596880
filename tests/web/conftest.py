"""Fixtures of the tests of exported pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_in_browser import CHROMIUM, FLAGS, new_tab
from patience import PATIENCE

from ncavideo.nca.ruleset import open_ruleset
from ncavideo.web.export import export


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, timeout=1000 * PATIENCE
        )
        yield found
        found.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("pages")
    for name in ("elements", "tiny"):
        export(open_ruleset(name), here / f"{name}.html")
    return here


@pytest.fixture
def opened(browser: Any, folder: Path) -> Iterator[Any]:
    """The page of `elements`, paused, on a small grid; no error may have come up at the end."""
    context = browser.new_context(viewport={"width": 800, "height": 500}, accept_downloads=True)
    tab = new_tab(context)
    tab.goto((folder / "elements.html").as_uri())
    tab.evaluate("() => { ncavideo.pause(); ncavideo.resize(60, 90); ncavideo.reset(); }")
    yield tab
    assert tab.errors == []
    context.close()
