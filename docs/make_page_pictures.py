"""Take the pictures of the exported pages, in Chromium: python docs/make_page_pictures.py."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Frame, Page, sync_playwright

from ncavideo.nca.catalog import presets
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.web.export import export
from ncavideo.web.gallery import gallery

PICTURES = Path(__file__).parent / "pictures"
FLAGS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
GROWN = 400  # steps


def opened(browser: Browser, page: Path, width: int, height: int) -> Page:
    """Open a page, paused."""
    tab = browser.new_page(viewport={"width": width, "height": height})
    tab.goto(page.as_uri())
    tab.evaluate("() => ncavideo.pause()")
    return tab


def grow(tab: Page | Frame, steps: int) -> None:
    """Take steps, a few at a time, and wait until they are drawn."""
    for _ in range(steps // 4):
        tab.evaluate("() => { ncavideo.step(4); return ncavideo.steps; }")
    tab.wait_for_timeout(500)


def save(tab: Page, name: str, quality: int = 85) -> None:
    """Write what is seen."""
    tab.screenshot(path=str(PICTURES / f"{name}.jpg"), type="jpeg", quality=quality)
    tab.close()


def drag(tab: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Draw a stroke with the brush."""
    tab.mouse.move(*start)
    tab.mouse.down()
    tab.mouse.move(*end, steps=20)
    tab.mouse.up()


def main() -> None:
    """Write them."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        here = Path(folder)
        export(open_ruleset("elements-fine"), here / "elements.html")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)

        tab = opened(browser, here / "elements.html", 1280, 980)
        tab.locator("#brushes span", has_text="moss").click()
        drag(tab, (150, 150), (500, 500))
        grow(tab, GROWN)
        tab.locator("#brushes span", has_text="Erase").click()
        drag(tab, (700, 200), (701, 200))
        grow(tab, 8)
        save(tab, "web-page")

        tab = opened(browser, here / "elements.html", 390, 844)
        grow(tab, GROWN)
        save(tab, "web-page-phone")

        index = gallery([open_ruleset(name) for name in sorted(presets())], here / "site")[0]
        tab = browser.new_page(viewport={"width": 1440, "height": 1410}, device_scale_factor=2 / 3)
        tab.goto(index.as_uri())
        tab.locator("button[data-page='elements.html']").click()
        tab.wait_for_timeout(3000)
        frame = next(frame for frame in tab.frames if frame.url.endswith("#embed"))
        frame.evaluate("() => ncavideo.pause()")
        grow(frame, GROWN)
        tab.mouse.wheel(0, -5000)
        tab.wait_for_timeout(500)
        save(tab, "gallery-page", 70)
        browser.close()


if __name__ == "__main__":
    main()
