"""A page whose graphics device is lost, does not answer, or is not there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_in_browser import LOSE, SAYS_LOST, inputs_of, needs_browser, new_tab, rgb, until

from ncavideo.nca.ruleset import open_ruleset

pytestmark = pytest.mark.slow


@needs_browser
def test_a_device_that_was_lost_and_came_back_goes_on(opened: Any) -> None:
    inputs = np.random.default_rng(0).random((5, 60, 90), dtype=np.float32).ravel().tolist()
    stepped = """(inputs) => {
        ncavideo.reset(7);
        ncavideo.setInputs(inputs);
        ncavideo.step(40);
        return Array.from(ncavideo.state());
    }"""
    before = opened.evaluate(stepped, inputs)
    said = opened.locator("#message").text_content()
    opened.locator("#brushes span").nth(2).click()
    opened.locator("canvas").click(position={"x": 50, "y": 50})
    painted = inputs_of(opened)[1] == 1
    assert painted.any() and not painted.all()
    opened.evaluate(LOSE)
    until(opened, SAYS_LOST)
    # None of these has a device to work on.
    opened.evaluate("() => { ncavideo.step(); ncavideo.play(); ncavideo.resize(20, 20); }")
    steps = opened.evaluate("() => ncavideo.steps")
    opened.evaluate("() => device.restoreContext()")
    until(opened, f"ncavideo.steps > {steps}")
    opened.evaluate("() => ncavideo.pause()")
    assert opened.locator("#message").text_content() == said
    assert rgb(opened).std() > 0.05, "the grid is empty"
    assert np.array_equal(inputs_of(opened)[1] == 1, painted)
    assert opened.evaluate(stepped, inputs) == before


@needs_browser
def test_a_window_may_change_while_the_device_is_lost(opened: Any) -> None:
    opened.evaluate("() => ncavideo.play()")
    opened.evaluate(LOSE)
    until(opened, SAYS_LOST)
    opened.set_viewport_size({"width": 390, "height": 844})
    time.sleep(0.5)  # longer than the page waits for the last of many sizes
    opened.evaluate("() => device.restoreContext()")
    until(opened, "ncavideo.size[0] > ncavideo.size[1]")
    steps = opened.evaluate("() => ncavideo.steps")
    until(opened, f"ncavideo.steps > {steps}")


@needs_browser
@pytest.mark.parametrize("call", ["getContext", "compileShader", "texImage2D"])
def test_a_device_that_is_lost_while_a_page_opens_is_waited_for(
    browser: Any, folder: Path, call: str
) -> None:
    tab = new_tab(browser)
    tab.add_init_script(
        """(call) => {
            const kind = call === "getContext" ? HTMLCanvasElement : WebGL2RenderingContext;
            const owner = kind.prototype;
            const own = owner[call];
            owner[call] = function (...given) {
                const found = own.apply(this, given);
                if (!window.device) {
                    const gl = call === "getContext" ? found : this;
                    window.device = gl.getExtension("WEBGL_lose_context");
                    device.loseContext();
                }
                return found;
            };
        }""".join(["(", f")('{call}');"])
    )
    tab.goto((folder / "tiny.html").as_uri())
    until(tab, SAYS_LOST)
    assert not tab.evaluate("() => document.body.classList.contains('unsupported')")
    tab.evaluate("() => device.restoreContext()")
    until(tab, "window.ncavideo && ncavideo.steps > 3")
    assert not tab.evaluate(f"() => {SAYS_LOST}")
    assert tab.locator("#brushes label").count() == 1 + len(open_ruleset("tiny").rules)
    assert tab.errors == []
    tab.close()


@needs_browser
def test_a_device_that_never_says_that_it_is_done_is_waited_for(browser: Any, folder: Path) -> None:
    tab = new_tab(browser)
    tab.add_init_script(
        "const { prototype } = WebGL2RenderingContext;"
        " prototype.clientWaitSync = () => prototype.TIMEOUT_EXPIRED;"
    )
    tab.goto((folder / "tiny.html").as_uri())
    until(tab, "ncavideo.steps > 3")
    assert tab.errors == []
    tab.close()


@needs_browser
def test_without_webgl_it_says_so(browser: Any, folder: Path) -> None:
    for missing, said in (
        ("HTMLCanvasElement.prototype.getContext = () => null;", "needs WebGL 2"),
        ("WebGL2RenderingContext.prototype.getExtension = () => null;", "float32 textures"),
    ):
        tab = new_tab(browser)
        tab.add_init_script(missing)
        tab.goto((folder / "tiny.html").as_uri())
        assert said in tab.locator("#message").text_content()
        assert tab.locator("#message").is_visible()
        assert not tab.locator("#brushes").is_visible()
        tab.close()
