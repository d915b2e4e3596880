"""What the stage makes: a queue of renders, listed, cancelled and shown again, and pictures."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import patience
import pytest
from click.testing import CliRunner
from PIL import Image

from ncavideo.app import render_queue
from ncavideo.app.render_job import Render
from ncavideo.app.render_queue import Entry, RenderQueue
from ncavideo.app.sessions import Sessions
from ncavideo.app.turn_queue import TurnQueue
from ncavideo.cli.main import main
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

pytest.importorskip("gradio")
from in_browser import CHROMIUM, make_clip, previewed, said, until

pytestmark = pytest.mark.slow
COMMAND = "#command textarea"


def entry(clip: Path, folder: Path, line: TurnQueue, mask: Path | None = None) -> Entry:
    folder.mkdir(parents=True)
    output = folder / "out.mp4"
    render = Render(clip, output, RenderOptions(("fire",), warmup=0), line)
    return Entry(clip, output, ("fire",), "", "", mask, render)


def test_renders_of_a_tab_wait_end_and_go(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_queue, "MOST", 3)
    broken = tmp_path / "broken.mp4"
    broken.write_text("no clip")
    queue, line = RenderQueue(), TurnQueue()

    def state(of: Entry) -> str:
        return next(status.state for found, status in queue.entries() if found is of)

    with line.place():  # somebody else renders
        first, bad, third = (
            entry(source, tmp_path / f"{number}", line)
            for number, source in enumerate((clip, broken, clip))
        )
        for one in (first, bad, third):
            queue.add(one)
        waits = "the places in the queue"
        patience.until(lambda: [s.before for _, s in queue.entries()] == [1, 2, 3], waits)
        with pytest.raises(UserError, match="3 renders are waiting"):
            queue.add(entry(clip, tmp_path / "refused", line))
        queue.cancel(third.number)
        assert state(third) == "cancelled" and not third.output.parent.exists()
    patience.until(lambda: not queue.active(), "the end of all")
    assert [status.state for _, status in queue.entries()] == ["done", "failed", "cancelled"]
    assert "broken.mp4" in bad.status.reason and not bad.output.parent.exists()
    assert queue.shown == first.number and first.output.exists()
    # The newest is shown, unless the user chose another since it was asked for.
    fourth = entry(clip, tmp_path / "4", line)
    queue.add(fourth)  # which takes the place of the one that failed
    queue.show(first.number)
    patience.until(lambda: not queue.active(), "the end of the fourth")
    assert queue.shown == first.number
    fifth, sixth = (entry(clip, tmp_path / name, line) for name in "56")
    queue.add(fifth)
    queue.add(sixth)
    assert [found for found, _ in queue.entries()] == [first, fifth, sixth]
    assert not fourth.output.parent.exists()
    queue.stop()
    patience.until(lambda: not queue.active(), "the end of all")
    assert [status.state for _, status in queue.entries()] == ["done", "cancelled", "cancelled"]
    assert {path.name for path in queue.files()} == {clip.name}


def test_clips_and_masks_stay_as_long_as_they_are_needed(tmp_path: Path) -> None:
    session, line = Sessions(tmp_path).get("one"), TurnQueue()

    def dropped(what: str, name: str) -> Path:
        upload = tmp_path / f"upload-{name}" / f"{name}.mp4"
        upload.parent.mkdir()
        upload.write_text("no clip")
        return session.take(str(upload), what)

    def there() -> set[str]:
        """The files of which there is anything, as uploads or in the session."""
        return {path.stem for path in tmp_path.rglob("*.mp4")}

    session.clip, session.mask = dropped("clip", "first"), dropped("mask", "stencil")
    with line.place():
        folder = session.folder / "render-a"
        session.renders.add(entry(session.clip, folder, line, session.mask))
        session.clip, session.mask = dropped("clip", "second"), dropped("mask", "other")
        session.tidy()
        assert there() == {"first", "second", "stencil", "other"}
        session.clip = dropped("clip", "third")
        session.tidy()
        assert there() == {"first", "third", "stencil", "other"}
    patience.until(lambda: not session.renders.active(), "the failure of the render")
    session.tidy()
    assert there() == {"first", "third", "other"}  # the first is shown beside its result
    session.close()
    assert there() == set()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
def test_several_renders_are_listed_cancelled_and_shown(
    open_tab: Callable[[], Any], clip: Path, tmp_path: Path
) -> None:
    tab = open_tab()
    long = tmp_path / "long.mp4"
    make_clip(long, 1500, "960x540")  # it has to last until all others are listed
    previewed(tab, long)
    tab.click("#render")
    said(tab, "#news", "of 1500 frames")
    tab.click("#clip button[aria-label=Clear]")
    until(lambda: tab.input_value(COMMAND) == "")
    previewed(tab, clip)
    until(lambda: "--rules fire,moss" in tab.input_value(COMMAND))
    tab.click("#render")
    said(tab, "#news", "Waiting for another render")
    tab.click("#strip button[data-rule=magma]")
    until(lambda: "--rules fire,moss,magma" in tab.input_value(COMMAND))
    for count in (3, 4):
        tab.click("#render")
        until(lambda count=count: tab.locator("#news li").count() == count)

    def item(index: int, *words: str) -> None:
        text = f"#news li:nth-child({index + 1})"
        for word in words:
            said(tab, text, word)

    # The newest comes first.
    item(0, "my clip.mp4", "fire, moss, magma", "Waiting for 3 other renders")
    item(3, "long.mp4", "of 1500 frames")
    assert tab.inner_text("#cancel") == "Cancel all"
    tab.click("#news li:nth-child(1) button")
    item(0, "Cancelled.")
    tab.click("#news li:nth-child(4) button")
    item(3, "Cancelled.")
    item(1, "my clip.fire-moss-magma.mp4: 12 frames")
    item(2, "my clip.fire-moss.mp4: 12 frames")
    until(lambda: tab.is_disabled("#cancel"))
    shown = "#result figure:last-child video"
    until(lambda: "fire-moss-magma" in (tab.get_attribute(shown, "src") or ""))
    tab.click("#news li:nth-child(3) button:text('Show')")
    until(lambda: re.search(r"fire-moss\.mp4", tab.get_attribute(shown, "src") or "") is not None)
    pressed = "all => all.map(button => button.ariaPressed)"
    until(lambda: tab.eval_on_selector_all("#news button", pressed) == ["false", "true"])
    tab.wait_for_function(
        "() => [...document.querySelectorAll('#result video')].every(v => v.readyState >= 2)"
    )
    with tab.expect_download() as download:
        tab.click("#news li:nth-child(2) a")
    assert download.value.suggested_filename == "my clip.fire-moss-magma.mp4"
    # All that is refused is told above the list, until something is added.
    tab.click("#part > button")
    tab.fill("#part input[type=number] >> nth=0", "3")
    tab.fill("#part input[type=number] >> nth=1", "2")
    tab.keyboard.press("Tab")
    said(tab, "#said", "must come after")
    tab.click("#render")
    said(tab, "#news", "must come after")
    assert tab.locator("#news li").count() == 4


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
def test_a_moment_is_a_picture_of_full_size(
    open_tab: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tmp_path / "large clip.mp4"
    make_clip(large, 6, "1280x720")  # more than a preview's pixels across
    tab = open_tab()
    previewed(tab, large)
    tab.click("#strip button[data-rule=magma]")
    until(lambda: "--rules fire,moss,magma" in tab.input_value(COMMAND))
    tab.click("#picture")
    said(tab, "#picture-news", "(1280x720)")
    line = tab.input_value("#picture-command textarea")
    with tab.expect_download() as download:
        tab.click("#picture-news a")
    assert download.value.suggested_filename == "large clip.0.21s.png"
    download.value.save_as(tmp_path / "saved.png")
    with Image.open(tmp_path / "saved.png") as image:
        assert (image.mode, image.size) == ("RGB", (1280, 720))
    # What can be copied gives the very same file.
    assert line == "ncavideo preview 'large clip.mp4' --at 0.21 --rules fire,moss,magma"
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, shlex.split(line)[1:]).exit_code == 0
    made = tmp_path / "large clip.0.21s.png"
    assert made.read_bytes() == (tmp_path / "saved.png").read_bytes()
    tab.click("#clip button[aria-label=Clear]")
    until(lambda: not tab.is_visible("#picture-news") and tab.is_disabled("#picture"))
    assert not tab.is_visible("#picture-command")
