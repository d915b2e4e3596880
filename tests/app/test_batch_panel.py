"""Several clips, rendered with one look."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ncavideo.app import render_queue

pytest.importorskip("gradio")
from in_browser import CHROMIUM, drop_until, held_back, make_clip, said, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here"),
]
FIRST = "#news li:last-child"  # the newest comes first


def drop_all(tab: Any, *clips: Path) -> None:
    there = tab.locator("#batch-clips a[download]")
    drop_until(lambda: there.count() == len(clips), tab, "#batch-clips", *clips)


def test_clips_and_a_folder_with_one_look(
    open_tab: Callable[[], Any], clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shoot"
    (folder / "second").mkdir(parents=True)
    for name in ("a.mp4", "second/b.MOV", ".hidden.mp4"):
        shutil.copy(clip, folder / name)
    (folder / "broken.mp4").write_text("no clip")
    (folder / "notes.txt").write_text("no clip")
    tab = open_tab()
    tab.click("#batch > button")
    tab.click("#batch-render")
    said(tab, "#batch-news", "Drop clips, or a folder with clips.")
    tab.click("#strip button[data-rule=moss]")
    drop_all(tab, clip)
    until(lambda: not tab.is_visible("#batch-news"))
    tab.set_input_files("#batch-folder input[type=file]", str(folder))
    until(lambda: tab.locator("#batch-folder a[download]").count() == 5)
    tab.click("#batch-render")
    said(tab, "#batch-news", "4 clips are in the list of renders now.")
    # No clip is dropped for a preview, and each has the look all the same.
    names = "all => all.map(item => item.innerText)"
    until(lambda: tab.locator("#news li").count() == 4)
    listed = tab.eval_on_selector_all("#news b", names)
    assert listed == ["broken.mp4", "b.MOV", "a.mp4", "my clip.mp4"]
    state = "#news li:nth-child({}) .nca-state"
    said(tab, state.format(1), "Broken.mp4 is not a video")
    for number, name in [(2, "b.fire"), (3, "a.fire"), (4, "my clip.fire")]:
        assert name in said(tab, state.format(number), ": 12 frames")
    assert tab.locator("#news li a[download]").count() == 3
    assert tab.locator("#batch a[download]").count() == 0  # they are not added twice
    drop_all(tab, folder / "a.mp4")
    held_back(tab, '"rules":[')  # what counts is what the swatches show
    tab.click("#strip button[data-rule=fire]")
    tab.click("#batch-render")
    said(tab, "#batch-news", "Choose at least one rule.")
    assert tab.locator("#batch-clips a[download]").count() == 1


def test_clips_that_find_no_place_are_told(
    open_tab: Callable[[], Any], clip: Path, tmp_path: Path
) -> None:
    long = tmp_path / "0.mp4"
    make_clip(long, 1500, "480x270")
    clips = [long]
    for number in range(render_queue.MOST + 1):
        clips.append(Path(shutil.copy(clip, tmp_path / f"{number + 1}.mp4")))
    tab = open_tab()
    tab.click("#batch > button")
    drop_all(tab, *clips)
    tab.click("#batch-render")
    said(tab, "#batch-news", "2 of 52 clips were not added: 50 renders are waiting")
    said(tab, FIRST, "of 1500 frames")
    assert tab.locator("#news li").count() == 50
    tab.click("#cancel")
    until(lambda: tab.is_disabled("#cancel"))
    assert tab.locator("#news li :text('Cancelled.')").count() == 50
