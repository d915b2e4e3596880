"""Take the picture of the app, in Chromium: python docs/make_app_picture.py."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
CLIP = HERE.parent / "examples" / "clip.mp4"
PATIENCE = 600_000  # milliseconds
COMMAND = "() => document.querySelector('#command textarea').value.includes({!r})"


def shown(tab: Page, words: str) -> None:
    """Wait until the command line and the preview are those of a look."""
    tab.wait_for_function(COMMAND.format(words))
    before = tab.get_attribute("#compare img >> nth=-1", "src")
    tab.wait_for_function(
        "before => [...document.querySelectorAll('#compare img')].at(-1)?.src !== before",
        arg=before,
    )


def main() -> None:
    """Write it: a finished render in the list, and another one under way."""
    server = subprocess.Popen(
        [sys.executable, "-m", "ncavideo", "ui", "--no-open", "--port", "0"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stderr is not None
        address = re.search(r"http://\S+(?=;)", server.stderr.readline())
        assert address is not None
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            tab = browser.new_page(viewport={"width": 1280, "height": 1060})
            tab.set_default_timeout(PATIENCE)
            tab.goto(address[0])
            tab.wait_for_selector("#strip img")
            tab.set_input_files("#clip input[type=file]", str(CLIP))
            tab.wait_for_selector("#compare img")
            tab.click("#render")
            tab.wait_for_selector("#news a[download]")
            tab.click("#looks button[data-look=flooded]")
            shown(tab, "--rules water")
            tab.click("#render")
            tab.wait_for_function(
                "() => document.querySelector('#news progress')?.value > 15", polling=50
            )
            tab.screenshot(path=str(HERE / "pictures" / "ui.jpg"), type="jpeg", quality=85)
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
