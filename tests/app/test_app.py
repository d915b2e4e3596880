"""The app in a real Chromium, against a real `ncavideo ui`."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import patience
import pytest
from click.testing import CliRunner
from in_browser import (
    IN_BROWSER,
    Server,
    choose_ruleset,
    drop,
    enter,
    make_clip,
    own_control,
    places,
    previewed,
    said,
    until,
    workers,
)
from patience import PATIENCE

from ncavideo.cli.main import main

pytest.importorskip("gradio")
pytestmark = IN_BROWSER


def test_drop_preview_render_and_download(
    open_tab: Callable[[], Any],
    server: Server,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tab = open_tab()
    previewed(tab, clip)
    choose_ruleset(tab, "cosmos", "nebula")
    tab.wait_for_selector("#strip :text('nebula')")
    # The newest preview, not one on its way, is what the command line tells of.
    until(lambda: "nebula,aurora" in tab.input_value("#command textarea"))
    own_control(tab, "aurora", "Edges")
    until(lambda: "aurora=edges" in tab.input_value("#command textarea"))
    tab.click("#part > button")
    enter(tab, "#before input[type=number]", "0.2")
    until(lambda: "--before 0.2" in tab.input_value("#command textarea"))
    tab.click("#render")
    assert "14 frames" in said(tab, "#news", "my clip.nebula-aurora.mp4")
    assert tab.locator("#result video").count() == 2
    tab.wait_for_function(
        "() => [...document.querySelectorAll('#result video')].every(v => v.readyState >= 2)"
    )
    with tab.expect_download() as download:
        tab.click("#download")
    saved = tmp_path / "downloaded.mp4"
    download.value.save_as(saved)
    assert download.value.suggested_filename == "my clip.nebula-aurora.mp4"
    with av.open(str(saved)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.name) == (160, 90, "h264")
        assert sum(1 for _ in container.decode(stream)) == 12 + 2
    # What can be copied gives the very same file.
    shutil.copy(clip, tmp_path)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(tab.input_value("#command textarea"))
    assert CliRunner().invoke(main, words[1:]).exit_code == 0
    assert (tmp_path / "my clip.nebula-aurora.mp4").read_bytes() == saved.read_bytes()


def test_a_bad_file_is_told_in_one_sentence(
    open_tab: Callable[[], Any], clip: Path, tmp_path: Path
) -> None:
    tab = open_tab()
    bad = tmp_path / "bad <b>clip.mp4"
    bad.write_text("This is no clip.")
    drop(tab, "#clip", bad)
    text = said(tab, "#said", "clip")
    until(lambda: ".mp4" in tab.inner_text("#said"))
    text = tab.inner_text("#said")
    assert "Traceback" not in text and text.strip().endswith(".")
    assert tab.locator("#said b").count() == 0
    assert tab.is_disabled("#render")
    tab.click("#clip button[aria-label=Clear], #clip button[aria-label='Clear']")
    said(tab, "#said", "Drop a clip")
    previewed(tab, clip)


def test_cancel_leaves_nothing(open_tab: Callable[[], Any], server: Server, tmp_path: Path) -> None:
    tab = open_tab()
    long = tmp_path / "long.mp4"
    make_clip(long, 1500, "480x270")
    previewed(tab, long)
    tab.click("#render")
    said(tab, "#news", "of 1500 frames")
    assert len(workers(server)) == 1
    tab.click("#cancel")
    said(tab, "#news", "Cancelled.")
    assert workers(server) == []
    assert [f for session in server.sessions() for f in session.glob("render-*")] == []
    assert tab.is_enabled("#render") and not tab.is_visible("#download")
    # Nor does whoever closes the tab.
    tab.click("#render")
    said(tab, "#news", "of 1500 frames")
    tab.close()
    until(lambda: workers(server) == [] and server.sessions() == [])


def test_a_sample_clip_is_a_click_away(open_tab: Callable[[], Any]) -> None:
    tab = open_tab()
    assert "Blender Foundation, CC BY 3.0" in tab.inner_text("#credit")
    tab.click("#sample")
    tab.wait_for_selector("#compare img")
    until(lambda: "render big-buck-bunny.mp4" in tab.input_value("#command textarea"))
    assert tab.get_attribute("#time input[type=range]", "max") == "3"


def test_a_reload_brings_the_form_back(
    open_tab: Callable[[], Any], server: Server, clip: Path
) -> None:
    tab = open_tab()
    previewed(tab, clip)
    choose_ruleset(tab, "earth", "lichen")
    tab.wait_for_selector("#strip button[data-rule=lichen]")
    tab.click("#strip button[data-rule=lichen]")
    own_control(tab, "lichen", "Edges")
    tab.click("#part > button")
    enter(tab, "#before input[type=number]", "0.4")
    command = "#command textarea"
    asked = ("--rules bark,stone,lichen", "lichen=edges", "--before 0.4")
    until(lambda: all(words in tab.input_value(command) for words in asked))
    line = tab.input_value(command)
    tab.wait_for_timeout(500)
    kept = tab.evaluate("JSON.stringify({...localStorage})")
    assert str(server.folder) not in kept  # nor is it readable
    tab.reload()
    said(tab, "#said", f"Drop {clip.name} again")
    until(lambda: places(tab) == {"bark": "1", "stone": "2", "sand": None, "lichen": "3"})
    previewed(tab, clip)
    until(lambda: tab.input_value(command) == line)
    # What no form of this version is leaves the first one.
    tab.evaluate("localStorage.setItem('ncavideo-form', 'no form')")
    tab.reload()
    tab.wait_for_selector("#strip button[data-rule=fire]")
    assert places(tab)["fire"] == "1"


def test_what_is_finished_stays_and_leaving_is_asked_about(
    open_tab: Callable[[], Any], clip: Path, tmp_path: Path
) -> None:
    tab = open_tab()
    previewed(tab, clip)
    tab.click("#render")
    assert "12 frames" in said(tab, "#news", "my clip.fire-moss.mp4")
    asked: list[str] = []
    tab.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    long = tmp_path / "long.mp4"
    make_clip(long, 1500, "480x270")
    tab.click("#clip button[aria-label=Clear]")
    until(lambda: tab.input_value("#command textarea") == "")
    previewed(tab, long)
    tab.click("#render")
    said(tab, "#news", "of 1500 frames")
    tab.evaluate("() => { setTimeout(() => location.reload(), 0); }")
    # Playwright hears of the dialog while it waits.
    patience.until(lambda: tab.wait_for_timeout(100) or asked, "a question")
    assert asked == ["beforeunload"]
    tab.click("#cancel")
    said(tab, "#news", "Cancelled.")
    with tab.expect_download() as download:
        tab.click("#download")
    download.value.save_as(tmp_path / "kept.mp4")
    assert download.value.suggested_filename == "my clip.fire-moss.mp4"
    assert (tmp_path / "kept.mp4").stat().st_size > 0
    # And what it was made of is still shown beside it.
    for source in tab.eval_on_selector_all("#result video", "all => all.map(v => v.src)"):
        with urllib.request.urlopen(source) as answer:
            assert answer.status == 200


def test_it_says_what_it_cannot_do(tmp_path: Path) -> None:

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = subprocess.run(
            [sys.executable, "-m", "ncavideo", "ui", "--no-open", "--port", str(port)],
            capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)},
        )  # fmt: skip
    assert refused.returncode == 2
    assert refused.stderr == f"ncavideo: port {port} is taken: give another --port\n"
    # An address of nobody (RFC 5737), and a name of nobody (RFC 6761).
    for host in ("192.0.2.1", "nosuch.invalid"):
        refused = subprocess.run(
            [sys.executable, "-m", "ncavideo", "ui", "--no-open", "--port", "0",
             "--host", host, "--login", "me:open sesame"],
            capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)},
        )  # fmt: skip
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"ncavideo: one cannot listen at {host}, port 0: ")
        assert "taken" not in refused.stderr and refused.stderr.count("\n") == 1
    assert list(tmp_path.glob("ncavideo-ui-*")) == []


def test_all_ends_with_the_server(tmp_path: Path, browser: Any, clip: Path) -> None:
    server = Server(tmp_path)
    context = browser.new_context()
    tab = context.new_page()
    tab.set_default_timeout(1000 * PATIENCE)
    tab.goto(server.address)
    previewed(tab, clip)
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(server.process.pid)], capture_output=True, text=True
    ).stdout.split()
    assert children
    assert server.end() == 0
    context.close()
    assert server.root() == []
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
