"""A mask that is painted over the picture of a moment."""

from __future__ import annotations

import base64
import io
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ncavideo.app import mask_painting
from ncavideo.cli.main import main
from ncavideo.util.errors import UserError

pytest.importorskip("gradio")
from in_browser import (
    CHROMIUM,
    Server,
    drop,
    enter,
    held_back,
    make_clip,
    own_control,
    previewed,
    said,
    until,
)

COMMAND = "#command textarea"
needs_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here"),
]
# Whether the strokes cover a place, by its shares of width and height.
COVERED = """([x, y]) => {
  const canvas = document.querySelector("#painting canvas");
  const at = [Math.floor(canvas.width * x), Math.floor(canvas.height * y), 1, 1];
  return canvas.getContext("2d").getImageData(...at).data[3] > 128;
}"""
Places = Sequence[tuple[float, float]]


def sent(data: bytes) -> str:
    return mask_painting.PNG + base64.b64encode(data).decode()


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def test_what_was_painted_is_grey() -> None:
    picture = np.zeros((9, 16, 4), np.uint8)
    picture[..., 3], picture[2:5, 3:8, :3] = 255, 200
    mask = np.asarray(mask_painting.painted_mask(sent(png(picture))))
    assert (mask.shape, mask.dtype) == ((9, 16), np.uint8)
    assert (mask == picture[..., 0]).all()


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (None, "must be a PNG"),
        ("data:image/jpeg;base64,AAAA", "must be a PNG"),
        (mask_painting.PNG + "no base64!", "no whole PNG"),
        (sent(b"no picture"), "no whole PNG"),
        (sent(png(np.full((90, 160), 255, np.uint8))[:100]), "no whole PNG"),
        (sent(png(np.zeros((90, 160), np.uint8))), "nothing is painted"),
        (sent(png(np.zeros((4000, 2000), np.uint8))), "not 2000x4000"),
        (sent(png(np.zeros((20000, 20000), np.uint8))), "no whole PNG"),
        (sent(bytes(4_000_000)), "may have 4 MB"),
    ],
    ids=["nothing", "jpeg", "text", "bytes", "cut", "black", "large", "bomb", "long"],
)
def test_what_is_no_painted_mask(what: object, told: str) -> None:
    with pytest.raises(UserError, match=told):
        mask_painting.painted_mask(what)


def begin(tab: Any) -> None:
    """Begin to paint, and wait until the strokes lie over the picture."""
    tab.click("#paint")
    tab.wait_for_function(
        "() => document.querySelector('#painting img').naturalWidth"
        " === document.querySelector('#painting canvas').width"
    )


def act(tab: Any, name: str) -> None:
    tab.click(f"#painting button[data-part={name}]")


def stroke(tab: Any, places: Places) -> None:
    """Draw a stroke with the mouse through places of the picture, from 0 to 1."""
    box = tab.locator("#painting canvas").bounding_box()
    spots = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in places]
    tab.mouse.move(*spots[0])
    tab.mouse.down()
    for spot in spots:
        tab.mouse.move(*spot, steps=8)
    tab.mouse.up()


def covered(tab: Any, *places: tuple[float, float]) -> list[bool]:
    return [tab.evaluate(COVERED, place) for place in places]


def masks(server: Server) -> list[Path]:
    """The files of painted masks, the newest last."""
    found = [p for folder in server.sessions() for p in folder.glob("mask-*/painted.png")]
    return sorted(found, key=lambda path: int(path.parent.name.removeprefix("mask-")))


@pytest.mark.slow
class TestInChromium:
    """The page."""

    pytestmark = needs_chromium

    def test_a_rule_lives_where_it_is_painted(
        self,
        open_tab: Callable[[], Any],
        server: Server,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        large = tmp_path / "large.mp4"
        make_clip(large, 6, "1280x720")  # more than a preview's pixels across
        tab = open_tab()
        assert not tab.is_visible("#paint")
        previewed(tab, large)
        begin(tab)
        assert not tab.is_visible("#compare")
        assert tab.is_disabled("[data-part=use]")
        stroke(tab, [(0.2, 0.3), (0.4, 0.3)])
        act(tab, "use")
        assert "drives fire" in said(tab, "#painting-news", "the mask now")
        until(lambda: "fire=mask:painted.png" in tab.input_value(COMMAND))
        assert tab.is_visible("#compare") and not tab.is_visible("#painting")
        # It is what the field of the mask has, as if it had been dropped there.
        own = "#own-0 input"
        tab.click("#own-controls button")
        until(lambda: tab.input_value(own) == "Mask")
        with tab.expect_download() as download:
            tab.click("#mask a[download]")
        download.value.save_as(tmp_path / "painted.png")
        with Image.open(tmp_path / "painted.png") as image:
            assert (image.mode, image.size) == ("L", (1280, 720))
            mask = np.asarray(image) > 128
        assert mask[216, 256:512].all() and not mask[:120].any() and not mask[:, 700:].any()
        tab.click("#render")
        news = said(tab, "#news", "6 frames")
        assert "mask" not in news.partition("6 frames")[2]  # it has the clip's size
        with tab.expect_download() as download:
            tab.click("#download")
        download.value.save_as(tmp_path / "saved.mp4")
        # What can be copied gives the very same file.
        monkeypatch.chdir(tmp_path)
        words = shlex.split(tab.input_value(COMMAND))
        assert CliRunner().invoke(main, words[1:]).exit_code == 0
        assert (tmp_path / words[2]).name == "large.mp4"
        assert (tmp_path / "large.fire-moss.mp4").read_bytes() == (
            tmp_path / "saved.mp4"
        ).read_bytes()
        # Without the mask its control has nothing to read.
        tab.click("#mask button[aria-label=Clear]")
        said(tab, "#said", "or paint one over the picture.")

    def test_strokes_are_corrected(
        self, open_tab: Callable[[], Any], server: Server, clip: Path
    ) -> None:
        tab = open_tab()
        previewed(tab, clip)
        begin(tab)
        ends = [(0.2, 0.5), (0.8, 0.5)]
        stroke(tab, ends)
        assert covered(tab, *ends, (0.5, 0.1)) == [True, True, False]
        act(tab, "erase")
        stroke(tab, [(0.8, 0.5)])
        assert covered(tab, *ends) == [True, False]
        act(tab, "undo")
        assert covered(tab, *ends) == [True, True]
        act(tab, "erase")
        act(tab, "invert")
        assert covered(tab, *ends, (0.5, 0.1)) == [False, False, True]
        act(tab, "clear")
        assert covered(tab, *ends, (0.5, 0.1)) == [False] * 3
        assert tab.is_disabled("[data-part=use]")
        act(tab, "undo")
        act(tab, "undo")
        assert tab.is_enabled("[data-part=use]")
        tab.fill("[data-part=size]", "40")
        stroke(tab, [(0.5, 0.2)])
        assert covered(tab, (0.5, 0.1), (0.35, 0.2)) == [True, True]
        act(tab, "undo")
        act(tab, "use")
        until(lambda: "fire=mask:painted.png" in tab.input_value(COMMAND))
        # Another time begins with what was painted; Cancel leaves it as it is.
        begin(tab)
        ground = "document.querySelector('#painting img').src"
        before = tab.evaluate(ground)
        enter(tab, "#time input[type=number]", "0.2")
        until(lambda: tab.evaluate(ground) != before)  # the picture is that of the moment
        act(tab, "clear")
        act(tab, "cancel")
        begin(tab)
        assert covered(tab, *ends, (0.5, 0.1)) == [True, True, False]
        act(tab, "clear")
        stroke(tab, [(0.5, 0.1)])
        tab.select_option("[data-part=rules]", "moss")
        act(tab, "use")
        until(lambda: "moss=mask:painted.png" in tab.input_value(COMMAND))
        first, second = (np.asarray(Image.open(path)) for path in masks(server)[-2:])
        assert (first[45, 80], second[45, 80]) == (255, 0)
        assert (first[9, 80], second[9, 80]) == (0, 255)
        # The same mask in turn for all rules.
        begin(tab)
        tab.select_option("[data-part=rules]", "")
        act(tab, "use")
        until(lambda: "--control mask:painted.png" in tab.input_value(COMMAND))

    def test_a_finger_and_a_keyboard(
        self, open_tab: Callable[[], Any], server: Server, clip: Path
    ) -> None:
        tab = open_tab()
        tab.set_viewport_size({"width": 390, "height": 844})
        previewed(tab, clip)
        tops = "all => all.map(button => Math.round(button.getBoundingClientRect().top))"
        assert len(set(tab.eval_on_selector_all("#motion-row button:not(#still)", tops))) == 1
        tab.focus("#paint")
        tab.keyboard.press("Enter")
        tab.wait_for_selector("#painting canvas")
        until(lambda: tab.evaluate("document.querySelector('#painting canvas').width") == 160)
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
        tab.locator("#painting canvas").scroll_into_view_if_needed()
        before = tab.evaluate("scrollY")
        box = tab.locator("#painting canvas").bounding_box()
        touch = tab.context.new_cdp_session(tab)
        for kind, y in [("Start", 0.3), ("Move", 0.5), ("Move", 0.8), ("End", None)]:
            spots = (
                [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] * y}] if y else []
            )
            touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": spots})
        assert covered(tab, (0.5, 0.35), (0.5, 0.75), (0.2, 0.5)) == [True, True, False]
        assert tab.evaluate("scrollY") == before
        tab.focus("[data-part=size]")
        for _ in range(4):
            tab.keyboard.press("Tab")
        tab.keyboard.press("Space")  # invert
        assert covered(tab, (0.5, 0.35), (0.2, 0.5)) == [False, True]
        for _ in range(2):
            tab.keyboard.press("Tab")
        tab.keyboard.press("Enter")  # use
        until(lambda: "fire=mask:painted.png" in tab.input_value(COMMAND))
        assert tab.evaluate("document.activeElement.id") == "paint"
        assert masks(server)

    def test_what_cannot_be_taken_is_told(
        self, open_tab: Callable[[], Any], clip: Path, tmp_path: Path
    ) -> None:
        tab = open_tab()
        previewed(tab, clip)
        begin(tab)
        stroke(tab, [(0.5, 0.5)])
        tab.evaluate("HTMLCanvasElement.prototype.toDataURL = () => 'data:image/png;base64,AAAA'")
        act(tab, "use")
        said(tab, "#painting-news", "The painted mask is no whole PNG.")
        assert "mask" not in tab.input_value(COMMAND)
        # A rule that is not chosen any more has no control.
        begin(tab)
        tab.click("#strip button[data-rule=fire]")
        until(lambda: "--rules moss" in tab.input_value(COMMAND))
        act(tab, "use")
        said(tab, "#painting-news", "painted for fire, which is not chosen any more.")
        # A mask that is dropped takes the place of what was painted, and of what was said.
        shutil.copy(clip, tmp_path / "stencil.mp4")
        own_control(tab, "moss", "Mask")
        drop(tab, "#mask", tmp_path / "stencil.mp4")
        until(lambda: "moss=mask:stencil.mp4" in tab.input_value(COMMAND))
        assert not tab.is_visible("#painting-news")

    def test_the_newest_painting_counts(
        self, open_tab: Callable[[], Any], server: Server, clip: Path
    ) -> None:
        tab = open_tab()
        previewed(tab, clip)
        held = held_back(tab, '"number":1', most=1)
        for x in (0.2, 0.8):
            begin(tab)
            stroke(tab, [(x, 0.5)])
            act(tab, "use")
            until(lambda: bool(held))
        until(lambda: "fire=mask:painted.png" in tab.input_value(COMMAND))
        count = len(masks(server))
        held[0].continue_()
        tab.wait_for_timeout(1500)
        assert len(masks(server)) == count
        # The newest form is in the browser, the mask is not.
        tab.reload()
        said(tab, "#said", f"Drop {clip.name} again")
        drop(tab, "#clip", clip)
        said(tab, "#said", "Drop a picture or a clip for the mask, or paint one")
