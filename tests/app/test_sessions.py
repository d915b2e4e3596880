"""Sessions, their files, and work that waits its turn."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE, until

from ncavideo.app import html
from ncavideo.app.background import in_background
from ncavideo.app.sessions import Sessions
from ncavideo.app.turn_queue import TurnQueue
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow


def test_paths_are_not_told(tmp_path: Path) -> None:
    session = Sessions(tmp_path).get("one")
    clip = session.folder / "clip-1" / "my clip.mp4"
    text = f"{clip} has no frame; {session.folder}/render-2/styles/a.png"
    assert session.plain(text) == "my clip.mp4 has no frame; a.png"


def test_texts_of_users_are_escaped() -> None:
    bad = "<script>&\"'"
    pair = html.before_and_after(Path(f"/a/{bad}.mp4"), Path(f"/b/{bad}.gif"))
    for text in (html.line(bad), html.bar(bad), html.swatches([bad], [bad], {}, 1), pair):
        assert "<script" not in text


def test_one_at_a_time_in_the_order_of_coming() -> None:
    line, order = TurnQueue(), list[int]()
    first = line.place()
    before = first.__enter__()
    assert before() == 0

    def wait(number: int) -> None:
        with line.place() as before:
            while before():
                pass
            order.append(number)

    threads = []
    for number in range(3):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        until(lambda n=number: len(line._waiting) >= n + 2, "a place in the line", every=0.001)
    assert order == []
    first.__exit__(None, None, None)
    for thread in threads:
        thread.join(PATIENCE)
    assert order == [0, 1, 2]


def test_work_ends_though_nobody_listens() -> None:
    ended = threading.Event()

    def work() -> Any:
        try:
            yield from range(3)
        finally:
            ended.set()

    listening = in_background(work())
    assert next(listening) == 0
    listening.close()
    assert ended.wait(PATIENCE)
    assert list(in_background(iter("ab"))) == ["a", "b"]

    def broken() -> Any:
        yield 1
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        list(in_background(broken()))


def test_sessions_share_an_upload_and_leave_nothing(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    upload = tmp_path / "hash" / "a.mp4"
    upload.parent.mkdir()
    upload.write_bytes(b"clip")
    one, other = sessions.get("one"), sessions.get("other")
    assert one is sessions.get("one") and one.folder != other.folder
    taken = [session.take(str(upload), "clip") for session in (one, other)]
    assert all(path.samefile(upload) for path in taken)
    sessions.end("one")
    assert upload.exists() and not one.folder.exists() and taken[1].read_bytes() == b"clip"
    sessions.end_all()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="no rule set"):
        sessions.get("third").ruleset("/etc/passwd")


def test_what_begins_in_a_closed_session_is_stopped(tmp_path: Path) -> None:
    class Work:
        stopped = 0

        def stop(self) -> None:
            self.stopped += 1

    session, early, late = Sessions(tmp_path).get("one"), Work(), Work()
    session.run("render", early)
    session.close()
    session.run("render", late)
    assert (early.stopped, late.stopped) == (1, 1)
