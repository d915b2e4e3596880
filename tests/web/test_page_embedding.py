"""Where a page is shown: in a window of any size, embedded in another page, in a gallery."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import patience
import pytest
from page_in_browser import LOSE, SAYS_LOST, inputs_of, needs_browser, new_tab, rgb, run, until

from ncavideo.nca.ruleset import Rule, open_ruleset

pytestmark = pytest.mark.slow


@needs_browser
def test_it_fits_any_window_and_keeps_what_has_grown(browser: Any, folder: Path) -> None:
    context = browser.new_context(viewport={"width": 500, "height": 300})
    tab = new_tab(context)
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto((folder / "elements.html").as_uri())
    until(tab, "ncavideo.steps > 10")
    tab.evaluate("() => ncavideo.pause()")
    tab.locator("#brushes span").nth(2).click()
    tab.locator("canvas").click(position={"x": 30, "y": 30})
    before, size = rgb(tab), tab.evaluate("() => ncavideo.size")
    painted = inputs_of(tab)[1] == 1
    assert painted.any()
    tab.set_viewport_size({"width": 390, "height": 844})
    until(tab, f"ncavideo.size[0] !== {size[0]}")
    after = rgb(tab)
    rows, columns = (min(a, b) for a, b in zip(before.shape[:2], after.shape[:2], strict=True))
    assert np.array_equal(after[:rows, :columns], before[:rows, :columns])
    assert np.array_equal(inputs_of(tab)[1, :rows, :columns] == 1, painted[:rows, :columns])
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert asked == [(folder / "elements.html").as_uri()]
    context.close()


@needs_browser
def test_it_can_be_embedded(browser: Any, folder: Path) -> None:
    tab = new_tab(browser, viewport={"width": 360, "height": 360})
    tab.goto((folder / "tiny.html").as_uri() + "#embed")
    until(tab, "ncavideo.steps > 3")
    assert tab.locator("#brushes").is_visible()
    for hidden in ("#strengths", "#status", "#record"):
        assert not tab.locator(hidden).is_visible()
    tab.close()


def embedded(tab: Any) -> Any:
    """The page that a gallery runs."""

    def found() -> list[Any]:
        # Playwright learns of a frame's address only while it is asked something.
        tab.evaluate("0")
        return [frame for frame in tab.frames if frame.url.endswith("#embed")]

    return patience.until(found, "an embedded page", lambda: [f.url for f in tab.frames])[0]


@needs_browser
def test_a_gallery_runs_what_is_touched(browser: Any, tmp_path: Path) -> None:
    hostile = "</li><img src=x onerror='window.hacked=1'>"
    plain = open_ruleset("tiny")
    rules = tuple(Rule(rule.name, prompt=hostile) for rule in plain.rules)
    dataclasses.replace(plain, name="other", rules=rules).save(tmp_path / "other.safetensors")
    site = tmp_path / "site"
    result = run("gallery", "tiny", tmp_path / "other.safetensors", "--out-dir", site, "--json")
    files = [Path(file).name for file in json.loads(result.stdout)["files"]]
    assert files == ["index.html", "tiny.html", "other.html"]
    assert sorted(p.name for p in site.iterdir()) == sorted(files)
    tab = new_tab(browser, viewport={"width": 900, "height": 700})
    tab.goto((site / "index.html").as_uri())
    assert tab.locator("article").count() == 2
    assert tab.locator("img").count() == 2
    assert hostile in tab.locator(".prompts").nth(1).text_content()
    for index in (0, 1):
        tab.locator("button[data-page]").nth(index).click()
        assert tab.locator("iframe").count() == 1
        frame = embedded(tab)
        until(frame, "window.ncavideo && ncavideo.steps > 3")
    frame.evaluate(LOSE)
    until(frame, SAYS_LOST)
    steps = frame.evaluate("() => ncavideo.steps")
    frame.evaluate("() => device.restoreContext()")
    until(frame, f"ncavideo.steps > {steps}")
    assert tab.evaluate("() => window.hacked") is None
    assert tab.errors == []
    tab.close()
    again = run("gallery", "tiny", "--out-dir", site)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    twice = run("gallery", "tiny", "tiny", "--out-dir", tmp_path / "twice")
    assert twice.exit_code == 2
    assert not (tmp_path / "twice").exists()
