"""Forms that overtake each other on their way, or are read too early, are answered in the end."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_browser import (
    IN_BROWSER,
    Server,
    drop_until,
    enter,
    held_back,
    previewed,
    tab_through,
    until,
)

LOOKS = Path(__file__).parents[2] / "examples" / "looks"
pytest.importorskip("gradio")
pytestmark = IN_BROWSER


def test_an_answer_comes_however_late_word_of_the_last_stream_is(
    browser: Any, server: Server, clip: Path
) -> None:
    def slow_to_close(answer: bytes) -> bytes:
        time.sleep(0.5 if b"close_stream" in answer else 0)
        return answer

    with tab_through(browser, server, slow_to_close) as tab:
        previewed(tab, clip)
        tab.click("#part > button")
        for held in ("0.2", "0.4", "0.6"):
            enter(tab, "#before input[type=number]", held)
            until(lambda held=held: f"--before {held}" in tab.input_value("#command textarea"))


def test_a_form_that_another_overtook_is_left_unanswered(
    open_tab: Callable[[], Any], clip: Path
) -> None:
    tab = open_tab()
    previewed(tab, clip)
    held = held_back(tab, "1.7,")
    tab.click("#part > button")
    enter(tab, "#before input[type=number]", "1.7")
    until(lambda: bool(held))
    enter(tab, "#before input[type=number]", "2.6")
    until(lambda: "--before 2.6" in tab.input_value("#command textarea"))
    for route in held:
        route.continue_()
    tab.wait_for_timeout(2000)
    assert "--before 2.6" in tab.input_value("#command textarea")


def test_a_form_that_was_read_too_early_is_read_again(
    open_tab: Callable[[], Any], clip: Path
) -> None:
    tab = open_tab()
    previewed(tab, clip)
    stale: list[Any] = []

    def as_before(route: Any) -> None:
        form = route.request.post_data or ""
        if "2.6," in form and not stale:
            stale.append(route)
            route.continue_(post_data=form.replace("2.6,", "1.7,"))
        else:
            route.continue_()

    tab.route("**/queue/join*", as_before)
    tab.click("#part > button")
    enter(tab, "#before input[type=number]", "2.6")
    until(lambda: "--before 2.6" in tab.input_value("#command textarea"))
    assert stale


def test_a_look_whose_form_was_read_too_early_is_read_again(
    open_tab: Callable[[], Any], clip: Path
) -> None:
    tab = open_tab()
    previewed(tab, clip)
    uploaded: set[int] = set()
    stale: list[int] = []

    def as_before(route: Any) -> None:
        form = route.request.post_data or "{}"
        sent = json.loads(form)
        if "polar-night" in form:
            uploaded.add(sent["trigger_id"])
        if "polar-night" in form or sent.get("trigger_id") not in uploaded:
            route.continue_()
            return
        # What follows the upload at last, with the newest number.
        stale.append(sent["data"][-1])
        route.continue_(post_data=form.replace('["aurora","nebula"]', '["fire","moss"]'))

    tab.route("**/queue/join*", as_before)
    tab.click("#files button")
    polar = LOOKS / "polar-night.toml"
    taken = "--rules aurora,nebula"
    command = "#command textarea"
    drop_until(lambda: taken in tab.input_value(command) or bool(stale), tab, "#look-file", polar)
    until(lambda: int(tab.input_value("#answered input")) > max(stale, default=math.inf))
    until(lambda: "--rules aurora,nebula" in tab.input_value("#command textarea"))


def test_a_look_that_the_page_takes_over_late_is_read_until_it_has(
    open_tab: Callable[[], Any], clip: Path
) -> None:
    """A field that is folded away has no event: its value can come after the last reading."""
    tab = open_tab()
    previewed(tab, clip)
    late: list[float] = []

    def as_before(route: Any) -> None:
        form = route.request.post_data or ""
        if '["sand","bark"]' in form and (not late or time.monotonic() < late[0] + 2):
            late.append(time.monotonic())
            route.continue_(post_data=form.replace("false,16,", "false,0,"))
        else:
            route.continue_()

    tab.route("**/queue/join*", as_before)
    tab.locator("#looks button", has_text="woodcut").click()
    command = "#command textarea"
    until(lambda: "--contrast 16" in tab.input_value(command))
    assert "--rules sand,bark" in tab.input_value(command)
    assert late
