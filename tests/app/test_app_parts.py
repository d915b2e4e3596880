"""What the app is made of, without a browser."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from patience import PATIENCE, until
from PIL import Image

from ncavideo.app import html, preview_process
from ncavideo.app.background import in_background
from ncavideo.app.look_form import form_of
from ncavideo.app.motion_job import MotionJob
from ncavideo.app.render_form import (
    AS_ALL,
    CONTROLS,
    FIELD_CONTROLS,
    FORMATS,
    OWN_CONTROLS,
    asked_options,
    output_name,
    shown_options,
)
from ncavideo.app.sessions import Sessions
from ncavideo.app.train_form import asked_recipe, sheet_every
from ncavideo.app.train_job import Training
from ncavideo.app.turn_queue import TurnQueue
from ncavideo.control.spec import parse_control
from ncavideo.nca.catalog import presets
from ncavideo.rendering.command_line import render_command
from ncavideo.rendering.look_file import load_look, save_look
from ncavideo.rendering.options import RenderOptions
from ncavideo.util.errors import UserError

pytestmark = pytest.mark.slow

STYLES = Path(__file__).parents[2] / "examples" / "styles"
LOOKS = Path(__file__).parents[2] / "examples" / "looks"

MASK = Path("/secret/session/mask-1/a mask.png")


def form(**changes: Any) -> dict[str, Any]:
    """The form as it is when the page has been opened."""
    return {
        "rules": ["fire", "moss"], "control": "luminance", "own": [AS_ALL] * 8, "light": 1,
        "shade": 1, "detail": 0.4, "opacity": 1, "by_brightness": False, "contrast": 0,
        "blend": "normal", "keep": "none", "matte": False, "steps_per_second": 0, "keyframes": "",
        "opacity_control": "",
        "light_control": "", "flow": False,
        "on_cut": "keep", "steps": 0, "upscale": "auto", "edge": "reflect",
        "quality": "standard", "cell": 0,
        "warmup": 240, "seed": 0, "begin": 0, "end": 0, "before": 0, "after": 0,
        "loop": 0, "format": "As the clip", **changes,
    }  # fmt: skip


def test_an_untouched_form_asks_for_the_defaults() -> None:
    options = asked_options(form(), "elements", None)
    assert options == RenderOptions(("fire", "moss"), ruleset="elements")
    assert render_command("a.mp4", shown_options(options, presets())) == (
        "ncavideo render a.mp4 --rules fire,moss"
    )
    assert output_name(Path("a.mov"), options, "As the clip") == "a.fire-moss.mov"
    assert output_name(Path("a.mov"), options, "WebM (VP9)") == "a.fire-moss.webm"


@pytest.mark.parametrize(
    ("shade", "detail", "asked"),
    [(1, 0.4, None), (0.5, 0.4, None), (0.2, 0.2, None), (0.2, 0.4, 0.4), (0.5, 0, 0)],
)
def test_detail_that_goes_with_the_shading_is_not_asked_for(
    shade: float, detail: float, asked: float | None
) -> None:
    assert asked_options(form(shade=shade, detail=detail), "elements", None).detail == asked


def test_every_choice_is_a_control_that_there_is(tmp_path: Path) -> None:
    for texts in (CONTROLS, OWN_CONTROLS, FIELD_CONTROLS):
        for text in texts.values():
            asked_options(form(control=text), "elements", MASK)
            parse_control(text)
    for name in FORMATS:
        asked_options(form(format=name), "elements", None)


def test_what_is_asked_for_arrives() -> None:
    values = form(
        own=["mask", *[AS_ALL] * 7], contrast=3, steps=5.0, begin=1, end=2.5, seed=None,
        warmup=None, before=2, after=0.5,
    )  # fmt: skip
    options = asked_options(values, "elements", MASK)
    assert options.control == (f"fire=mask:{MASK}",)
    assert (options.contrast, options.steps, type(options.steps)) == (3.0, 5, int)
    assert (options.start, options.duration, options.seed, options.warmup) == (1.0, 1.5, 0, 240)
    assert (options.before, options.after, options.loop) == (2.0, 0.5, None)
    assert asked_options(form(loop=0.8), "elements", None).loop == 0.8
    command = render_command("a.mp4", shown_options(options, presets()))
    assert "'fire=mask:a mask.png'" in command and "secret" not in command


def test_a_rule_may_be_called_like_a_control() -> None:
    values = form(rules=["damask", "mask"], own=[" mask", "mask , blur=2", *[AS_ALL] * 6])
    options = asked_options(values, "elements", MASK)
    assert options.control == (f"damask=mask:{MASK}", f"mask=mask:{MASK},blur=2")
    assert shown_options(replace(options, ruleset=None), {}).control == (
        "damask=mask:a mask.png",
        "mask=mask:a mask.png,blur=2",
    )


@pytest.mark.parametrize(
    "text",
    ["edges", "fire=edges:2,smooth=0.15,blur=1.5,weight=1.3", "mask:a=b, c.png,invert", "a=mask"],
)
def test_a_control_is_written_as_it_is_read(text: str) -> None:
    spec = parse_control(text)
    assert parse_control(str(spec)) == spec


@pytest.mark.parametrize("look", sorted(LOOKS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_form_shows_every_look(look: Path, tmp_path: Path) -> None:
    asked = load_look(look)
    values, ruleset = form_of(asked, list(presets()))
    values["own"] = [values.pop(f"own-{index}") for index in range(8)]
    assert ruleset == asked.get("ruleset", "")
    options = asked_options(form(**values), ruleset or "elements", None)
    assert options == RenderOptions(**{"ruleset": "elements", **asked})
    # And back into a file.
    save_look(tmp_path / "look.toml", replace(options, ruleset=ruleset or None))
    assert RenderOptions(**load_look(tmp_path / "look.toml")) == RenderOptions(**asked)


def test_a_look_of_everything() -> None:
    look: dict[str, Any] = {
        "rules": ("moss", "fire"), "ruleset": "/x/mine.safetensors", "matte": True,
        "steps_per_second": 50.0,
        "control": ("hue:20-60,weight=0.5", "fire=mask:/x/m.png,blur=3"), "cell": 3,
        "keyframes": ("opacity@0=0,2=1", "fire@0=1,1=0"), "opacity_control": "audio:bass",
    }  # fmt: skip
    values, ruleset = form_of(look, ["elements", "mine"])
    assert (ruleset, values["own-0"], values["own-1"]) == ("mine", AS_ALL, "mask,blur=3")
    values["own"] = [values.pop(f"own-{index}") for index in range(8)]
    options = asked_options(form(**values), "mine", MASK)
    mask = ("hue:20-60,weight=0.5", f"fire=mask:{MASK},blur=3")
    assert options == RenderOptions(**{**look, "ruleset": "mine", "control": mask})


@pytest.mark.parametrize(
    ("look", "says"),
    [
        ({}, "names no rules"),
        ({"rules": ("a",), "ruleset": "/x/b.safetensors"}, "is a file"),
        ({"rules": ("a",), "control": ("b=edges",)}, "none of its rules"),
        ({"rules": ("a",), "control": ("a=edges", "a=motion")}, "two controls for a"),
        ({"rules": ("a",), "shade": 3.0}, "between"),
        ({"rules": tuple("abcdefghi")}, "more than 8"),
    ],
)
def test_a_look_that_the_form_cannot_show(look: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        form_of(look, ["elements"])


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
        ({"before": 1, "loop": 0.5}, "leave out --before and --after"),
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
            "dream": False, "likeness": 0,
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
    by_words = {"guide": "imagenet", "dream": True, "likeness": 1, "prompt-0": "honeycomb"}
    drawn = asked_recipe(recipe_form(**{"rule-0": "bees"}, **by_words), [[]] * 4)
    assert (drawn.guide.dream, drawn.loss.likeness) == (150, 1.0)
    assert (recipe.guide.dream, recipe.loss.likeness) == (0, 0.0)
    assert sheet_every(100) == 10 and 2000 / sheet_every(2000) <= 24


@pytest.mark.parametrize(
    ("changes", "styles", "says"),
    [
        ({}, [[]] * 4, "at least one rule"),
        ({"name": " ", "rule-0": "a"}, [["x.png"], [], [], []], "name the rule set"),
        ({"prompt-1": "words"}, [[]] * 4, "rule 2 has no name"),
        ({"rule-0": "rust"}, [[]] * 4, "rust has no style picture"),
        ({"rule-0": "a", "dream": True}, [["x.png"], [], [], []], "draws with the guide imagenet"),
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


def upload_in(folder: Path, style: str) -> Path:
    """A style picture as Gradio hands it over: under one name whatever is in it."""
    folder.mkdir()
    return Path(shutil.copy(STYLES / style, folder / "picture.png"))


def test_another_picture_is_another_training(tmp_path: Path) -> None:
    gradio = pytest.importorskip("gradio")
    from ncavideo.app.service import Service
    from ncavideo.app.train_tab import TrainTab

    service = Service(tmp_path / "service")
    service.root.mkdir()
    session = service.sessions.get("one")
    with gradio.Blocks():
        tab = TrainTab(service, gradio.Dropdown())
    values = {component: recipe_form()[name] for name, component in tab._inputs.items()}
    values |= dict.fromkeys(tab._styles)
    values[tab._inputs["rule-0"]] = "rust"
    values[tab._styles[0]] = [str(upload_in(tmp_path / "a", "bark.png"))]
    _, folder = tab._prepared(values, session)
    assert tab._prepared(values, session)[1] == folder, "the same again goes on"
    values[tab._styles[0]] = [str(upload_in(tmp_path / "b", "ice.png"))]
    other, elsewhere = tab._prepared(values, session)
    assert elsewhere != folder
    (picture,) = other.rules[0].style
    assert (elsewhere / picture.path).read_bytes() == (STYLES / "ice.png").read_bytes()
    values[tab._inputs["rule-0"]] = "No name"
    with pytest.raises(UserError):
        tab._prepared(values, session)
    assert {f.name for f in session.folder.glob("train-*")} == {folder.name, elsewhere.name}
    service.close()


@pytest.mark.parametrize("when", ["at once", "starting", "twice while training"])
def test_a_training_can_be_stopped_at_any_moment(when: str, tmp_path: Path) -> None:
    values = recipe_form(**{"rule-0": "rust", "size": 48})
    recipe = asked_recipe(values, [[STYLES / "bark.png"], [], [], []])
    (tmp_path / "recipe.toml").write_text(recipe.to_toml(tmp_path))
    output = tmp_path / "mine.safetensors"
    training = Training(tmp_path / "recipe.toml", output, tmp_path / "run", 100, TurnQueue())
    states = []
    for news in training.run():
        states.append(news.state)
        if when == "at once" or (when == "starting" and news.state == "starting"):
            threading.Timer(0.05 if when == "at once" else 1.5, training.stop).start()
        if when == "twice while training" and news.done > 3:
            process = training._worker._process
            assert process is not None
            training.stop()
            for _ in range(5):
                process.terminate()
                time.sleep(0.05)
    assert states[-1] == "stopped", states
    assert output.exists() == (when == "twice while training")


def make(path: Path, *arguments: str) -> Path:
    subprocess.run(["ffmpeg", "-v", "error", *arguments, str(path)], check=True)
    return path


def test_every_moment_of_any_clip_can_be_seen(tmp_path: Path) -> None:
    test = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=2", "-pix_fmt", "yuv420p")
    # A screen that stood still: a frame near the end is held for eight seconds.
    held = make(
        tmp_path / "held.mkv", *test, "-vf", "setpts='if(gte(N,18),8.2+N/10,N/10)/TB'",
        "-fps_mode", "vfr", "-c:v", "mjpeg",
    )  # fmt: skip
    seconds = preview_process.facts(held).seconds
    assert seconds > 9
    options = RenderOptions(("fire",), warmup=0)
    found = {}
    for at in (0.5, 6.0, seconds):
        (tmp_path / f"{at}").mkdir()
        found[at] = preview_process.moment(held, options, at, tmp_path / f"{at}")[
            "source"
        ].read_bytes()
    assert len(set(found.values())) == 3
    # What never learnt its own length: a live recording, and a bare stream.
    live = make(tmp_path / "live.webm", *test, "-c:v", "libvpx", "-live", "1")
    bare = make(tmp_path / "bare.h264", *test, "-c:v", "libx264")
    assert preview_process.facts(live).seconds == pytest.approx(2, abs=0.15)
    facts = preview_process.facts(bare)  # which says no rate either
    assert facts.seconds == pytest.approx(20 / facts.rate)


def test_a_moment_in_motion(tmp_path: Path) -> None:
    test = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=3", "-pix_fmt", "yuv420p")
    clip = make(tmp_path / "a.mp4", *test)
    options = RenderOptions(("fire",), warmup=50)
    preview_process._grids.clear()
    still = preview_process.moment(clip, options, 0.5, tmp_path)
    assert len(preview_process._grids) == 1
    told = [preview_process.motion(tmp_path, (clip, options, 0.5))]
    while told[-1] is not None:
        told.append(preview_process.motion(tmp_path))
    assert preview_process._motions == {}
    assert all(news[1] == 20 for news in told if news is not None and news[0] < 21)
    with av.open(str(tmp_path / "motion.mp4")) as made:
        stream = made.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 128, 48)
        assert stream.codec_context.pix_fmt == "yuv420p"
        frames = [frame.to_ndarray(format="rgb24") for frame in made.decode(stream)]
    assert len(frames) == 21  # both ends
    source, result = (np.asarray(Image.open(still[name])) for name in ("source", "result"))
    assert np.abs(frames[0][:, :64].astype(float) - source).mean() < 12
    # It goes on from the still picture's grid, not from a seed of its own.
    begun = np.abs(frames[0][:, 64:].astype(float) - result).mean()
    assert begun < np.abs(frames[-1][:, 64:].astype(float) - result).mean()


def test_a_moment_in_motion_waits_and_is_taken_back(tmp_path: Path) -> None:
    test = ("-f", "lavfi", "-i", "testsrc2=s=640x480:r=25:d=3", "-pix_fmt", "yuv420p")
    clip = make(tmp_path / "a.mp4", *test)
    line, moments = TurnQueue(), preview_process.Moments()
    job = MotionJob(moments, clip, RenderOptions(("fire",)), 0.5, tmp_path, line)
    states = []
    with line.place():
        running = job.run()
        states.append(next(running).state)
    for news in running:
        states.append(news.state)
        if news.state == "rendering":
            job.stop()
    assert (states[0], states[-2:]) == ("waiting", ["rendering", "cancelled"])
    with pytest.raises(UserError, match="crashed"):  # nothing is left of it
        moments.call(preview_process.motion, tmp_path)
    moments.close()


def test_what_a_browser_plays_is_shown(tmp_path: Path) -> None:
    shows = html.before_and_after(tmp_path / "a.MOV", tmp_path / "b.mkv", "2,5")
    assert shows.count("<video") == 1
    assert "a.MOV#t=2,5" in shows
    assert "No browser plays .mkv" in shows


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
