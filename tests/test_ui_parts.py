"""What the app is made of, without a browser."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ncavideo.command_line import render_command
from ncavideo.errors import UserError
from ncavideo.options import RenderOptions
from ncavideo.ruleset import presets
from ncavideo.ui import shown
from ncavideo.ui.form import (
    AS_ALL,
    CONTROLS,
    FIELD_CONTROLS,
    FORMATS,
    OWN_CONTROLS,
    asked_options,
    output_name,
    shown_options,
)
from ncavideo.ui.line import Line
from ncavideo.ui.pump import pumped
from ncavideo.ui.sessions import Sessions
from ncavideo.ui.train_form import asked_recipe, sheet_every

MASK = Path("/secret/session/mask-1/a mask.png")


def form(**changes: Any) -> dict[str, Any]:
    """The form as it is when the page has been opened."""
    return {
        "rules": ["fire", "moss"], "control": "luminance", "own": [AS_ALL] * 8, "light": 1,
        "shade": 0.5, "opacity": 1, "by_brightness": False, "contrast": 0, "blend": "normal",
        "keep": "none", "opacity_control": "", "light_control": "", "flow": False,
        "on_cut": "keep", "steps": 0, "cell": 0, "upscale": "auto", "edge": "reflect",
        "warmup": 240, "seed": 0, "begin": 0, "end": 0, "format": "As the clip", **changes,
    }  # fmt: skip


def test_an_untouched_form_asks_for_the_defaults() -> None:
    options = asked_options(form(), "elements", None)
    assert options == RenderOptions(("fire", "moss"), ruleset="elements")
    assert render_command("a.mp4", shown_options(options, presets())) == (
        "ncavideo render a.mp4 --rules fire,moss"
    )
    assert output_name(Path("a.mov"), options, "As the clip") == "a.fire-moss.mov"
    assert output_name(Path("a.mov"), options, "WebM (VP9)") == "a.fire-moss.webm"


def test_every_choice_is_a_control_that_there_is(tmp_path: Path) -> None:
    from ncavideo.control.spec import parse_control

    for texts in (CONTROLS, OWN_CONTROLS, FIELD_CONTROLS):
        for text in texts.values():
            asked_options(form(control=text), "elements", MASK)
            parse_control(text)
    for name in FORMATS:
        asked_options(form(format=name), "elements", None)


def test_what_is_asked_for_arrives() -> None:
    values = form(
        own=["mask", *[AS_ALL] * 7], contrast=3, steps=5.0, begin=1, end=2.5, seed=None, warmup=None
    )
    options = asked_options(values, "elements", MASK)
    assert options.control == (f"fire=mask:{MASK}",)
    assert (options.contrast, options.steps, type(options.steps)) == (3.0, 5, int)
    assert (options.start, options.duration, options.seed, options.warmup) == (1.0, 1.5, 0, 240)
    command = render_command("a.mp4", shown_options(options, presets()))
    assert "'fire=mask:a mask.png'" in command and "secret" not in command


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rules": []}, "at least one rule"),
        ({"rules": None}, "at least one rule"),
        ({"control": "mask"}, "drop a picture"),
        ({"control": "mask:/etc/passwd"}, "command line"),
        ({"own": ["labels:/etc/passwd"]}, "command line"),
        ({"light_control": "segment:car@/tmp/weights.pth"}, "command line"),
        ({"begin": 3, "end": 2}, "must come after"),
        ({"steps": 2.5}, "whole number"),
        ({"seed": -1}, "between"),
    ],
)
def test_what_cannot_be_is_one_sentence(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        asked_options(form(**changes), "elements", None)


def recipe_form(**changes: Any) -> dict[str, Any]:
    rules = {f"{what}-{index}": None for what in ("rule", "prompt") for index in range(4)}
    return {"name": "My Set", "guide": "none", "size": 96, "iterations": 2000, "seed": None,
            **rules, **changes}  # fmt: skip


def test_a_recipe_of_the_form() -> None:
    values = recipe_form(**{"rule-0": "rust", "prompt-0": "flaking = rust", "rule-2": "ice"})
    recipe = asked_recipe(
        values, [[Path("/a/1.png"), Path("/a/2.png")], [], [Path("/a/3.png")], []]
    )
    assert (recipe.name, recipe.iterations, recipe.seed) == ("my-set", 2000, 0)
    assert [rule.name for rule in recipe.rules] == ["rust", "ice"]
    assert recipe.rules[0].prompt == ("flaking = rust",)
    assert [picture.path for picture in recipe.rules[0].style] == ["/a/1.png", "/a/2.png"]
    assert recipe.guide.kind == "none"
    assert sheet_every(100) == 10 and 2000 / sheet_every(2000) <= 24


@pytest.mark.parametrize(
    ("changes", "styles", "says"),
    [
        ({}, [[]] * 4, "at least one rule"),
        ({"name": " ", "rule-0": "a"}, [["x.png"], [], [], []], "name the rule set"),
        ({"prompt-1": "words"}, [[]] * 4, "rule 2 has no name"),
        ({"rule-0": "rust"}, [[]] * 4, "rust has no style picture"),
        ({"rule-0": "../rust"}, [["x.png"], [], [], []], "does not start with a name"),
        ({"rule-0": "a", "rule-1": "a"}, [["x.png"], ["y.png"], [], []], "'a' is named twice"),
    ],
)
def test_what_cannot_be_trained(
    changes: dict[str, Any], styles: list[list[str]], says: str
) -> None:
    paths = [[Path(path) for path in rule] for rule in styles]
    with pytest.raises(UserError, match=says) as caught:
        asked_recipe(recipe_form(**changes), paths)
    assert "--rule" not in str(caught.value) and "command line" not in str(caught.value)


def test_texts_of_users_are_escaped() -> None:
    bad = "<script>&\"'"
    for text in (shown.line(bad), shown.bar(bad), shown.strip({}), shown.before_and_after(
        Path(f"/a/{bad}.mp4"), Path(f"/b/{bad}.gif"))):  # fmt: skip
        assert "<script" not in text


def test_one_at_a_time_in_the_order_of_coming() -> None:
    line, order = Line(), list[int]()
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
        while len(line._waiting) < number + 2:
            time.sleep(0.001)
    assert order == []
    first.__exit__(None, None, None)
    for thread in threads:
        thread.join(10)
    assert order == [0, 1, 2]


def test_work_ends_though_nobody_listens() -> None:
    ended = threading.Event()

    def work() -> Any:
        try:
            yield from range(3)
        finally:
            ended.set()

    listening = pumped(work())
    assert next(listening) == 0
    listening.close()
    assert ended.wait(10)
    assert list(pumped(iter("ab"))) == ["a", "b"]

    def broken() -> Any:
        yield 1
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        list(pumped(broken()))


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
