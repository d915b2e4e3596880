"""An exported page as tests see it, in a Chromium that renders in software."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import patience
import pytest
from click.testing import CliRunner, Result
from patience import PATIENCE

from ncavideo.cli.main import main

STYLES = Path(__file__).parents[2] / "examples" / "styles"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless=new", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox",
         "--autoplay-policy=no-user-gesture-required",
         "--use-fake-device-for-media-stream"]  # fmt: skip

# What takes and gives back the device of a page, as a driver that was reset does.
LOSE = """() => {
    window.device = document.getElementById("canvas").getContext("webgl2")
        .getExtension("WEBGL_lose_context");
    device.loseContext();
}"""
SAYS_LOST = "document.getElementById('message').textContent.includes('taken away')"

# What a page, or a frame of one, is at.
SEEN = """() => {
    const canvas = document.getElementById("canvas");
    const gl = canvas && canvas.getContext("webgl2");
    const text = (id) => (document.getElementById(id) || {}).textContent;
    return {
        steps: window.ncavideo ? ncavideo.steps : null,
        renderer: window.ncavideo ? ncavideo.renderer : null,
        lost: gl ? gl.isContextLost() : null,
        hidden: document.hidden,
        message: text("message"),
        status: text("status"),
    };
}"""


def needs_browser(test: Any) -> Any:
    missing = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
    return pytest.mark.browser(missing(test))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def new_tab(owner: Any, **options: Any) -> Any:
    """Open a tab in a browser or a context; `tab.told` has what its console says and its errors."""
    tab = owner.new_page(**options)
    tab.set_default_timeout(1000 * PATIENCE)
    tab.told, tab.errors = [], []
    tab.on("console", lambda message: tab.told.append(message.text))
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    return tab


def until(place: Any, condition: str) -> None:
    """Wait for a condition; the page's own policy forbids Playwright's way of waiting."""
    tab = getattr(place, "page", place)  # of a frame

    def seen() -> object:
        return {**place.evaluate(SEEN), "console": tab.told, "errors": tab.errors}

    patience.until(lambda: place.evaluate(f"() => {condition}"), condition, seen, every=0.05)


def rgb(tab: Any) -> np.ndarray:
    """What is on the grid, `[H, W, 3]`, 0..1."""
    size = tab.evaluate("() => ncavideo.size")
    values = tab.evaluate(
        "(count) => Array.from(ncavideo.state().subarray(0, count))", 3 * size[0] * size[1]
    )
    state = np.array(values, np.float32).reshape(3, *size)
    return np.clip(state.transpose(1, 2, 0) + 0.5, 0, 1)


def inputs_of(tab: Any) -> np.ndarray:
    """What the cells are asked for, `[I, H, W]`."""
    size = tab.evaluate("() => ncavideo.size")
    return np.array(tab.evaluate("() => Array.from(ncavideo.inputs())")).reshape(-1, *size)
