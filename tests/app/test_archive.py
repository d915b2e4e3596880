"""All finished renders as one archive."""

from __future__ import annotations

import tracemalloc
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ncavideo.app.archive import PIECE, Archive, distinct_names
from ncavideo.util.errors import OutputError, UserError

pytest.importorskip("gradio")
from in_browser import CHROMIUM, Server, drop_until, make_clip, said, until


@pytest.mark.parametrize(
    ("names", "distinct"),
    [
        (["a.mp4", "b.mp4"], ["a.mp4", "b.mp4"]),
        (["a.mp4", "a.mp4", "a.mp4"], ["a.mp4", "a-2.mp4", "a-3.mp4"]),
        (["a.mp4", "a-2.mp4", "a.mp4"], ["a.mp4", "a-2.mp4", "a-3.mp4"]),
        (["a.mp4", "A.MP4", "a.mov"], ["a.mp4", "A-2.MP4", "a.mov"]),
        (["a.fire.mp4", "a.fire.mp4", "a"], ["a.fire.mp4", "a.fire-2.mp4", "a"]),
    ],
)
def test_no_two_clips_have_one_name(names: list[str], distinct: list[str]) -> None:
    assert distinct_names(names) == distinct


def clips_in(folder: Path, *sizes: int) -> list[Path]:
    clips = []
    for number, size in enumerate(sizes):
        path = folder / str(number) / "clip.mp4"
        path.parent.mkdir()
        path.write_bytes(bytes([number]) * size)
        clips.append(path)
    return clips


def test_clips_are_stored_as_they_are(tmp_path: Path) -> None:
    clips = clips_in(tmp_path, 3, 40 * PIECE, 0)
    gone = tmp_path / "gone" / "gone.mp4"
    archive = Archive([*clips, gone], tmp_path / "all.zip")
    tracemalloc.start()
    news = list(archive.write())
    assert tracemalloc.get_traced_memory()[1] < 8 * PIECE
    tracemalloc.stop()
    total = 3 + 40 * PIECE
    assert news and all(0 < done <= total == of for done, of in news)
    with zipfile.ZipFile(tmp_path / "all.zip") as made:
        names = ["clip.mp4", "clip-2.mp4", "clip-3.mp4"]
        assert made.namelist() == names and archive.count == 3
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in made.infolist())
        assert [made.read(name) for name in names] == [clip.read_bytes() for clip in clips]
        assert made.testzip() is None


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    clips = clips_in(tmp_path, 4 * PIECE, 4 * PIECE)
    output = tmp_path / "out" / "all.zip"
    with pytest.raises(OutputError, match=r"cannot write all\.zip"):
        list(Archive(clips, output).write())
    output.parent.mkdir()
    stopped = Archive(clips, output)
    news = stopped.write()
    next(news)
    assert list(output.parent.iterdir()) and not output.exists()
    stopped.stop()
    with pytest.raises(UserError, match="stopped"):
        list(news)
    with pytest.raises(UserError, match="no finished clip"):
        list(Archive([tmp_path / "gone.mp4"], output).write())
    assert not list(output.parent.iterdir())


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
def test_a_batch_is_one_download(
    open_tab: Callable[[], Any], server: Server, tmp_path: Path
) -> None:
    for number, name in enumerate(("one/same.mp4", "two/same.mp4")):
        (tmp_path / "shoot" / name).parent.mkdir(parents=True)
        make_clip(tmp_path / "shoot" / name, 6 + number)
    before = set(server.sessions())
    tab = open_tab()
    tab.click("#batch > button")
    there = tab.locator("#batch-folder a[download]")
    drop_until(lambda: there.count() == 2, tab, "#batch-folder", tmp_path / "shoot")
    assert not tab.is_visible("#archive")
    tab.click("#batch-render")
    until(lambda: tab.locator("#news li a[download]").count() == 2)
    until(lambda: tab.is_visible("#archive") and tab.inner_text("#archive") == "All 2 as a zip")
    tab.click("#archive")
    assert "Download renders.zip (2 clips, " in said(tab, "#archive-news", "Download")
    with tab.expect_download() as download:
        tab.click("#archive-news a")
    assert download.value.suggested_filename == "renders.zip"
    saved = tmp_path / "saved.zip"
    download.value.save_as(saved)
    sources = tab.eval_on_selector_all("#news li a[download]", "all => all.map(a => a.href)")
    with zipfile.ZipFile(saved) as made:
        assert made.namelist() == ["same.fire-moss.mp4", "same.fire-moss-2.mp4"]
        inside = {made.read(name) for name in made.namelist()}
    alone = set()
    for source in sources:
        with urllib.request.urlopen(source) as answer:
            alone.add(answer.read())
    assert inside == alone and len(alone) == 2
    # It lies where the session's other files do: under a name that no other session is told.
    address = tab.locator("#archive-news a").evaluate("a => a.href")
    (mine,) = set(server.sessions()) - before
    (first,) = mine.glob("archive-*")
    assert urllib.parse.unquote(address).endswith(f"{first}/renders.zip")
    # Another one takes its place.
    tab.click("#archive")
    until(lambda: not first.exists())
    until(lambda: [path.name for path in mine.glob("archive-*/*")] == ["renders.zip"])
    until(lambda: first.name not in tab.locator("#archive-news a").evaluate("a => a.href"))
    address = tab.locator("#archive-news a").evaluate("a => a.href")
    tab.context.close()
    until(lambda: not mine.exists())
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(address)
