"""What the stage of the app shows: a moment, two seconds in motion, the mask."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_browser import IN_BROWSER, Server, drop_until, make_clip, previewed, said, until, workers

LOOKS = Path(__file__).parents[2] / "examples" / "looks"
PIXEL = """([x, y]) => {
  const canvas = document.querySelector("#motion canvas");
  const at = [Math.round(canvas.width * x), Math.round(canvas.height * y), 1, 1];
  return [...canvas.getContext("2d").getImageData(...at).data].slice(0, 3);
}"""
pytest.importorskip("gradio")
pytestmark = IN_BROWSER


def test_the_stage_stays_in_view(open_tab: Callable[[], Any], clip: Path) -> None:
    tab = open_tab()
    previewed(tab, clip)
    top = "where => document.querySelector(where).getBoundingClientRect().top"
    tab.set_viewport_size({"width": 1440, "height": 900})
    tab.locator("#part").scroll_into_view_if_needed()
    tab.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert tab.evaluate("scrollY") > 300
    for where in ("#compare", "#render"):
        assert 0 <= tab.evaluate(top, where) < 860, where
    # What has no room in the window is below, not in a second column.
    tab.set_viewport_size({"width": 1440, "height": 500})
    assert tab.evaluate("(s => s.scrollWidth <= s.clientWidth)(document.querySelector('#stage'))")
    assert tab.evaluate(top, "#render") > tab.evaluate(top, "#compare") + 200
    # On a phone it comes before the form, leaves room for it, and the picture stays.
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.evaluate("scrollTo(0, 0)")
    assert tab.evaluate(top, "#clip") < tab.evaluate(top, "#compare")
    assert tab.evaluate(top, "#compare") < tab.evaluate(top, "#time") < tab.evaluate(top, "#looks")
    # The page's own scripts lay it out again some time after the window has changed.
    until(lambda: tab.evaluate(top, "#looks button") < 760)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.locator("#control").scroll_into_view_if_needed()
    tab.evaluate("scrollBy(0, 400)")
    assert abs(tab.evaluate(top, "#compare")) < 2
    height = tab.evaluate("document.querySelector('#compare').clientHeight")
    assert 80 < height < 844 / 3


def test_two_seconds_in_motion(open_tab: Callable[[], Any], clip: Path, tmp_path: Path) -> None:
    blue = tmp_path / "blue.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=0x2040e0:s=160x90:r=12:d=1",
         "-pix_fmt", "yuv420p", str(blue)], check=True,
    )  # fmt: skip
    tab = open_tab()
    previewed(tab, blue)
    tab.click("#move")
    tab.wait_for_selector("#motion canvas")
    tab.wait_for_function("() => document.querySelector('#motion video').readyState >= 2")
    assert not tab.is_visible("#compare")
    video = tab.locator("#motion video")
    facts = "v => [v.videoWidth, v.videoHeight, v.loop, v.muted, v.paused]"
    assert video.evaluate(facts) == [320, 90, True, True, False]
    # One line parts the clip, on its left, from the result.
    line = "#motion input[type=range]"
    tab.wait_for_timeout(200)

    def is_blue(x: float) -> bool:
        red, _, blue = tab.evaluate(PIXEL, [x, 0.5])
        return bool(blue > 170 and red < 90)

    assert is_blue(0.3) and not is_blue(0.8)
    tab.focus(line)
    tab.keyboard.press("End")
    until(lambda: is_blue(0.8))
    tab.keyboard.press("Home")
    until(lambda: not is_blue(0.3))
    tab.click("#still")
    tab.wait_for_selector("#compare img")
    assert not tab.is_visible("#motion") and not tab.is_visible("#still")
    # Another choice shows a picture of itself, not a clip of the last.
    tab.click("#move")
    tab.wait_for_selector("#motion canvas")
    tab.click("#strip button[data-rule=magma]")
    tab.wait_for_selector("#compare img")
    assert not tab.is_visible("#motion")


def test_a_moment_in_motion_waits_for_a_render(
    open_tab: Callable[[], Any], server: Server, tmp_path: Path
) -> None:
    tab = open_tab()
    long = tmp_path / "long.mp4"
    make_clip(long, 1500, "480x270")
    previewed(tab, long)
    tab.click("#render")
    said(tab, "#news", "of 1500 frames")
    tab.click("#move")
    said(tab, "#motion-news", "Waiting for another render to end")
    tab.click("#still")
    until(lambda: not tab.is_visible("#motion-news") and tab.is_enabled("#move"))
    assert len(workers(server)) == 1 and tab.is_visible("#compare")
    tab.click("#cancel")
    said(tab, "#news", "Cancelled.")


def test_the_mask_is_shown_over_the_clip(open_tab: Callable[[], Any], clip: Path) -> None:
    tab = open_tab()
    previewed(tab, clip)
    shown = "#drivers button:has-text('fire over the clip') img"
    tab.click("button:has-text('Controls at this moment')")
    tab.wait_for_selector("#drivers button:has-text('expression') img")
    assert not tab.query_selector(shown)
    tab.click("#files button")
    command = "#command textarea"
    person = LOOKS / "burning-person.toml"
    drop_until(lambda: "segment:person" in tab.input_value(command), tab, "#look-file", person)
    tab.wait_for_selector(shown)
    tab.locator(shown).scroll_into_view_if_needed()  # it is loaded when it comes into view
    wide = "(image) => image.complete && image.naturalWidth"
    until(lambda: tab.eval_on_selector(shown, wide) == 160)
    assert "segment:person,rise=60" in tab.input_value("#command textarea")
