"""Several users of one app, and who may come in."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from in_browser import IN_BROWSER, Server, make_clip, previewed, said

from ncavideo.cli.main import main

pytest.importorskip("gradio")
pytestmark = IN_BROWSER


def test_two_users_at_once(
    open_tab: Callable[[], Any], server: Server, clip: Path, tmp_path: Path
) -> None:
    first, second = open_tab(), open_tab()
    long, other = tmp_path / "first.mp4", tmp_path / "second.mp4"
    make_clip(long, 1500, "480x270")  # it has to last until the other one waits
    shutil.copy(clip, other)
    previewed(first, long)
    previewed(second, other)
    first.click("#render")
    said(first, "#news", "of 1500 frames")
    second.click("#render")
    said(second, "#news", "Waiting for another render")
    first.click("#cancel")
    said(first, "#news", "Cancelled.")
    said(second, "#news", "second.fire-moss.mp4: 12 frames")
    assert "second" in second.inner_html("#result")
    assert "second" not in first.inner_text("#news") and "first" not in second.inner_text("#news")
    assert len(server.sessions()) >= 2


def test_only_what_a_session_made_can_be_fetched(
    open_tab: Callable[[], Any], server: Server, clip: Path
) -> None:
    previewed(open_tab(), clip)
    tests = Path(__file__).resolve()
    session = server.sessions()[0]
    for path in ("/etc/hostname", str(tests), str(session), str(session / "..")):
        address = f"{server.address}gradio_api/file={urllib.parse.quote(path)}"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address)
        assert refused.value.code in (403, 404)
        refused.value.close()
    with urllib.request.urlopen(server.address + "config") as answer:
        config = answer.read().decode()
    assert session.name not in config


def test_others_may_come_in_only_with_a_login(tmp_path: Path) -> None:
    refused = CliRunner().invoke(main, ["ui", "--no-open", "--host", "0.0.0.0"])
    assert refused.exit_code == 2 and "--login" in refused.output
    refused = CliRunner().invoke(main, ["ui", "--no-open", "--login", "nobody"])
    assert refused.exit_code == 2 and "USER:PASSWORD" in refused.output
    log = tmp_path / "log.jsonl"
    server = Server(tmp_path, "--login", "me:open sesame", "--log-file", str(log))
    try:
        with pytest.raises(urllib.error.HTTPError) as asked:
            urllib.request.urlopen(server.address + "config")
        assert asked.value.code == 401
        asked.value.close()
    finally:
        assert server.end() == 0
    assert server.root() == []
    begun = json.loads(log.read_text().splitlines()[0])
    assert "sesame" not in str(begun) and "--login" in begun["arguments"]
