"""A fractal of the chosen rules, made in the app."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from ncavideo.app.fractal_job import FractalJob
from ncavideo.app.fractal_panel import asked_fractal, fractal_command, left_fields
from ncavideo.app.sessions import Sessions
from ncavideo.app.turn_queue import TurnQueue
from ncavideo.cli.main import main
from ncavideo.still.options import StillOptions
from ncavideo.util.errors import UserError

pytest.importorskip("gradio")
from in_browser import CHROMIUM, Server, enter, said, until

pytestmark = pytest.mark.slow


def test_what_is_asked_for_arrives(tmp_path: Path) -> None:
    session = Sessions(tmp_path).get("one")
    options = asked_fractal(session, "elements", ["moss", "fire"], 7, "wrap", 96, 64, 2, 1.5)
    assert options == StillOptions(
        {"moss": 0.5, "fire": 0.5}, (96, 64), "elements", fractal=2, scale=1.5, seed=7, edge="wrap"
    )
    assert fractal_command(options, Path("/secret/moss-fire.png")) == (
        "ncavideo still --rules moss,fire --size 96x64 --fractal 2 --scale 1.5 --seed 7"
        " --edge wrap -o moss-fire.png"
    )
    plain = asked_fractal(session, "elements-rich", ["fire"], None, "reflect", 96, 64, 0, 2)
    assert fractal_command(plain, Path("fire.png")) == (
        "ncavideo still --rules fire --ruleset elements-rich --size 96x64 -o fire.png"
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rules": []}, "at least one rule"),
        ({"width": None}, "a width and a height"),
        ({"height": -3}, "a width and a height"),
        ({"width": 7680, "height": 4320}, "not 7680x4320"),
        ({"seed": -1}, "seed"),
        ({"ruleset": "/etc/passwd"}, "no rule set"),
    ],
)
def test_what_no_fractal_can_have(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "ruleset": "elements", "rules": ["fire"], "seed": 0, "edge": "reflect", "width": 96,
        "height": 64, "levels": 2, "scale": 2,
    }  # fmt: skip
    with pytest.raises(UserError, match=told):
        asked_fractal(Sessions(tmp_path).get("one"), **{**asked, **changes})


def test_a_fractal_tells_how_far_it_is_and_can_be_cancelled(tmp_path: Path) -> None:
    line = TurnQueue()

    def states(size: tuple[int, int], stop: bool) -> list[tuple[str, int]]:
        options = StillOptions({"fire": 1.0}, size, fractal=2, scale=4.0)
        job, seen = FractalJob(options, tmp_path / "a.png", line), []
        for news in job.run():
            seen.append((news.state, news.done))
            if news.state == "rendering":
                assert news.frames == 100
                if stop:
                    job.stop()
        return seen

    with line.place():
        waiting = FractalJob(StillOptions({"fire": 1.0}), tmp_path / "b.png", line)
        running = waiting.run()
        assert next(running).state == "waiting"
        waiting.stop()
        assert [news.state for news in running] == ["cancelled"]
    cancelled = [state for state, _ in states((1280, 960), stop=True)]
    assert cancelled[:2] == ["starting", "rendering"] and cancelled[-1] == "cancelled"
    assert not list(tmp_path.iterdir())
    done = states((640, 480), stop=False)
    shares = [share for state, share in done if state == "rendering"]
    assert done[-1][0] == "done" and shares and shares == sorted(shares)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert states((20, 20), stop=False)[-1][0] == "failed"


@pytest.mark.parametrize(
    "kept",
    [
        None,
        7,
        "abcd",
        [1, 2],
        [640, 480, 9, 2],
        [640, 480, 3, 99],
        [640, 480, "3", 2],
        ["a", 1, 2, 3],
    ],
)
def test_what_no_browser_kept_changes_no_field(kept: object) -> None:
    assert left_fields(kept) is None


def test_what_a_browser_kept_is_brought_back() -> None:
    assert left_fields([640, None, 2, 1.5]) == [640, None, 2, 1.5]


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
def test_the_bar_cancel_and_the_fields_after_a_reload(
    open_tab: Callable[[], Any], server: Server
) -> None:
    before = set(server.sessions())
    tab = open_tab()
    tab.click("#fractal > button")
    sides = "#fractal-sides input >> nth={}"
    for index, value in enumerate(("3840", "2160")):
        enter(tab, sides.format(index), value)
    enter(tab, "#fractal-levels input[type=number]", "2")
    enter(tab, "#fractal-scale input[type=number]", "4")
    assert tab.is_disabled("#fractal-cancel")
    tab.click("#fractal-make")
    told = said(tab, "#fractal-news", " %")
    bar = tab.locator("#fractal-news progress")
    until(lambda: 0 < float(bar.get_attribute("value") or 0) < 100)
    assert told and bar.get_attribute("max") == "100"
    tab.click("#fractal-cancel")
    said(tab, "#fractal-news", "Cancelled.")
    until(lambda: tab.is_enabled("#fractal-make") and tab.is_disabled("#fractal-cancel"))
    (mine,) = set(server.sessions()) - before
    assert not list(mine.glob("fractal-*"))
    tab.wait_for_timeout(500)
    tab.reload()
    tab.wait_for_selector("#strip img")
    tab.click("#fractal > button")
    fields = (*map(sides.format, (0, 1)), "#fractal-levels input[type=number]",
              "#fractal-scale input[type=number]")  # fmt: skip
    until(lambda: [tab.input_value(field) for field in fields] == ["3840", "2160", "2", "4"])


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
def test_a_fractal_is_a_picture(
    open_tab: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab = open_tab()
    tab.click("#fractal > button")
    sides = "#fractal-sides input >> nth={}"
    for index, value in enumerate(("40", "30")):
        enter(tab, sides.format(index), value)
    tab.click("#fractal-make")
    told = said(tab, "#fractal-news", "would begin with")
    assert "Traceback" not in told and told.strip().endswith(".")
    for index, value in enumerate(("480", "360")):
        enter(tab, sides.format(index), value)
    tab.click("#fractal-make")
    said(tab, "#fractal-news", "Download fire-moss.png (480x360)")
    tab.wait_for_function("() => document.querySelector('#fractal-news img').naturalWidth === 480")
    with tab.expect_download() as download:
        tab.click("#fractal-news a")
    download.value.save_as(tmp_path / "saved.png")
    with Image.open(tmp_path / "saved.png") as image:
        assert (image.mode, image.size) == ("RGB", (480, 360))
    # What can be copied gives the very same file.
    line = tab.input_value("#fractal-command textarea")
    assert line == (
        "ncavideo still --rules fire,moss --size 480x360 --fractal 3 --scale 3 -o fire-moss.png"
    )
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, shlex.split(line)[1:]).exit_code == 0
    assert (tmp_path / "fire-moss.png").read_bytes() == (tmp_path / "saved.png").read_bytes()
