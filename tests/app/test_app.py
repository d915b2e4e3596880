"""The app in a real Chromium, against a real `ncavideo ui`."""

from __future__ import annotations

import inspect
import json
import math
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import patience
import pytest
from click.testing import CliRunner
from patience import PATIENCE

from ncavideo.cli.main import main
from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering.look_file import load_look
from ncavideo.rendering.looks import looks
from ncavideo.rendering.options import RenderOptions

LOOKS = Path(__file__).parents[2] / "examples" / "looks"
STYLES = Path(__file__).parents[2] / "examples" / "styles"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytest.importorskip("gradio")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here"),
]


class Server:
    """An app of its own, with its own place for temporary files."""

    def __init__(
        self, folder: Path, *arguments: str, program: Sequence[str] = ("-m", "ncavideo")
    ) -> None:
        self.folder = folder
        environment = {**os.environ, "TMPDIR": str(folder)}
        environment.pop("GRADIO_TEMP_DIR", None)
        self.process = subprocess.Popen(
            [sys.executable, *program, "ui", "--no-open", "--port", "0", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stderr is not None
        told = self.process.stderr.readline()
        found = re.search(r"http://\S+(?=;)", told)
        assert found, told
        self.address = found[0]

    def sessions(self) -> list[Path]:
        """The folders of the open tabs."""
        return [f for root in self.root() for f in root.iterdir() if len(f.name) == 32]

    def root(self) -> list[Path]:
        return list(self.folder.glob("ncavideo-ui-*"))

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    made.process.kill()
    made.process.wait()
    assert made.process.stderr is not None
    made.process.stderr.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--headless=new", "--no-sandbox"],
            timeout=1000 * PATIENCE,
        )
        yield found
        found.close()


@pytest.fixture
def open_tab(browser: Any, server: Server) -> Iterator[Callable[[], Any]]:
    """Open a tab for another user; it asks nobody but the app, and nothing fails in it."""
    contexts, asked, errors = [], set[str](), list[str]()

    def open_one() -> Any:
        context = browser.new_context(
            viewport={"width": 1280, "height": 900}, accept_downloads=True
        )
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(1000 * PATIENCE)
        tab.on("request", lambda request: asked.add(request.url))
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(server.address)
        tab.wait_for_selector("#strip img")
        return tab

    yield open_one
    for context in contexts:
        context.close()
    own = urllib.parse.urlsplit(server.address).netloc
    hosts = {
        urllib.parse.urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))
    }
    assert hosts == {own}
    assert errors == []


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "my clip.mp4"
    make_clip(path, 12)
    return path


def make_clip(path: Path, frames: int, size: str = "160x90") -> None:
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s={size}:r=12",
         "-frames:v", str(frames), "-pix_fmt", "yuv420p", str(path)],
        check=True,
    )  # fmt: skip


def drop(tab: Any, where: str, *files: Path) -> None:
    tab.set_input_files(f"{where} input[type=file]", [str(file) for file in files])


def drop_until(taken: Callable[[], bool], tab: Any, where: str, *files: Path) -> None:
    """Drop files on a field that may just have come into view, until they are taken: see `hold`."""
    dropped = -math.inf

    def there() -> bool:
        nonlocal dropped
        if not taken() and time.monotonic() > dropped + 60:
            dropped = time.monotonic()
            drop(tab, where, *files)
        return taken()

    patience.until(there, f"what was dropped on {where}", every=0.1)


def previewed(tab: Any, clip: Path) -> None:
    drop(tab, "#clip", clip)
    tab.wait_for_selector("#compare img")


def said(tab: Any, where: str, *words: str) -> str:
    """Wait until one of the words is told, and return the whole text."""

    def text() -> str:
        return str(tab.inner_text(where)) if tab.is_visible(where) else ""

    def told() -> str:
        there = text()
        return there if any(word in there for word in words) else ""

    return patience.until(told, f"any of {words} in {where}", text, every=0.1)


def choose(tab: Any, where: str, option: str) -> None:
    tab.click(f"{where} input")
    tab.click(f"[role=option]:has-text('{option}')")


def enter(tab: Any, where: str, value: str, key: str = "Enter") -> None:
    """Type a value into a field that may just have come into view."""

    def typed() -> None:
        tab.fill(where, value)
        tab.keyboard.press(key)

    hold(tab, where, lambda there: there == value, typed)


def hold(tab: Any, where: str, right: Callable[[str], bool], again: Callable[[], None]) -> None:
    """Set a field that may just have come into view, until it keeps what it was given.

    Gradio mounts what was folded up when it is opened and then sets what it held, also over what
    was entered in the instant between, which no hand can do.
    """
    held = 0  # looks in a row that found it there

    def holds() -> bool:
        nonlocal held
        held += 1
        if not right(tab.input_value(where)):
            held = 0
            again()
        return held >= 20

    patience.until(holds, f"what was entered in {where}", lambda: tab.input_value(where), every=0.1)


def choose_ruleset(tab: Any, name: str, rule: str) -> None:
    """Choose a rule set, and wait for the swatch of one of its rules."""
    hold(tab, "#ruleset input", lambda there: there == name, lambda: choose(tab, "#ruleset", name))
    tab.wait_for_selector(f"#strip button[data-rule={rule}]")


def own_control(tab: Any, index: int, option: str) -> None:
    """Show the rules' own controls, and choose that of one rule."""
    where = f"#own-{index}"
    tab.click("#own-controls button")
    hold(tab, f"{where} input", lambda there: option in there, lambda: choose(tab, where, option))


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition on a tab holds; if it never does, tell what the tab shows instead."""
    what = inspect.getsource(condition).strip()
    tabs = [cell.cell_contents for cell in condition.__closure__ or ()]
    tab = next((tab for tab in tabs if hasattr(tab, "input_value")), None)

    def shown() -> object:
        if tab is None:
            return None
        return tab.input_value("#command textarea"), tab.inner_text("#said")

    patience.until(condition, what, shown, every=0.1)


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
    own_control(tab, 1, "Edges")
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


def test_rules_that_the_page_lost_come_again(browser: Any, server: Server, clip: Path) -> None:
    lost: list[bytes] = []

    def losing(answer: bytes) -> bytes:
        """Have the page do without the rules of a look: as many bytes, under another name."""
        rules = b'"value":["aurora","nebula"]'
        if rules in answer:
            lost.append(answer)
        return answer.replace(rules, rules.replace(b"value", b"other"))

    with tab_through(browser, server, losing) as tab:
        previewed(tab, clip)
        tab.click("#files button")
        drop_until(lambda: bool(lost), tab, "#look-file", LOOKS / "polar-night.toml")
        until(lambda: "--rules aurora,nebula" in tab.input_value("#command textarea"))


@contextmanager
def tab_through(browser: Any, server: Server, answered: Callable[[bytes], bytes]) -> Iterator[Any]:
    """Open a tab whose answers from the server pass through `answered`."""
    with between(urllib.parse.urlsplit(server.address).port, answered) as port:
        context = browser.new_context()
        tab = context.new_page()
        tab.set_default_timeout(1000 * PATIENCE)
        tab.goto(f"http://127.0.0.1:{port}")
        tab.wait_for_selector("#strip img")
        yield tab
        context.close()


@contextmanager
def between(port: int | None, answered: Callable[[bytes], bytes]) -> Iterator[int]:
    """Forward to a port; what comes back from there passes through `answered`."""

    def forward(source: socket.socket, target: socket.socket, each: Any) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(each(data))
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def listen() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                for ends in ((near, far, bytes), (far, near, answered)):
                    threading.Thread(target=forward, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=listen, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


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


def test_a_rule_keeps_its_own_control_when_others_go(
    open_tab: Callable[[], Any], clip: Path
) -> None:
    tab = open_tab()
    previewed(tab, clip)
    command = "#command textarea"
    own_control(tab, 1, "Edges")
    until(lambda: "moss=edges" in tab.input_value(command))
    tab.click("#strip button[data-rule=fire]")
    until(lambda: "--rules moss" in tab.input_value(command))
    until(lambda: "moss=edges" in tab.input_value(command))
    tab.click("#strip button[data-rule=water]")
    until(lambda: tab.input_value(command).endswith("--rules moss,water --control moss=edges"))
    # Another rule set has other rules: none of them takes the control over.
    choose_ruleset(tab, "cosmos", "nebula")
    until(lambda: tab.input_value(command).endswith("--rules nebula,aurora"))


def places(tab: Any) -> dict[str, str | None]:
    """The rules on the swatches, with their places among those chosen."""
    found = tab.locator("#strip button").evaluate_all(
        "all => all.map(b => [b.innerText.trim(), b.ariaPressed, b.dataset.place])"
    )
    assert all((pressed == "true") == (place is not None) for _, pressed, place in found)
    return {name: place for name, _, place in found}


def test_rules_are_chosen_by_their_swatches(open_tab: Callable[[], Any], clip: Path) -> None:
    tab = open_tab()
    previewed(tab, clip)
    command = "#command textarea"
    assert places(tab) == {"fire": "1", "moss": "2", "water": None, "magma": None}
    for rule in ("fire", "magma", "fire"):  # at once, as no preview could follow
        tab.click(f"#strip button[data-rule={rule}]")
    until(lambda: "--rules moss,magma,fire" in tab.input_value(command))
    tab.keyboard.press("Space")
    until(lambda: tab.input_value(command).endswith("--rules moss,magma"))
    tab.keyboard.press("Tab")  # from fire's to moss's
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    until(lambda: tab.input_value(command).endswith("--rules moss,magma,water"))
    until(lambda: places(tab) == {"fire": None, "moss": "1", "water": "3", "magma": "2"})
    for rule in ("moss", "magma", "water"):
        tab.click(f"#strip button[data-rule={rule}]")
    said(tab, "#said", "Choose at least one rule.")


def test_the_last_of_many_choices_counts(open_tab: Callable[[], Any], clip: Path) -> None:
    tab = open_tab()
    previewed(tab, clip)
    strip = "document.querySelector(`#strip button[data-rule=${rule}]`)"
    for _ in range(3):
        tab.evaluate(
            "[...Array(10).keys()].forEach("
            f"() => ['fire', 'moss', 'water'].forEach(rule => {strip}.click()))"
        )
        tab.evaluate(f"['fire', 'moss'].forEach(rule => {strip}.click())")
        said(tab, "#said", "Choose at least one rule.")
        tab.evaluate(f"['fire', 'moss'].forEach(rule => {strip}.click())")
        until(lambda: "--rules fire,moss" in tab.input_value("#command textarea"))


def test_rules_that_come_late_do_not_stay(open_tab: Callable[[], Any], clip: Path) -> None:
    tab = open_tab()
    previewed(tab, clip)
    for rule in ("fire", "moss"):
        tab.click(f"#strip button[data-rule={rule}]")
    said(tab, "#said", "Choose at least one rule.")
    # As an answer to an earlier choice would, the page takes over another rule.
    tab.evaluate("document.querySelector('#rules').classList.remove('hidden', 'hide')")
    tab.add_style_tag(content="#rules { display: block !important }")
    tab.locator("#rules input").fill("water")
    tab.locator("#rules input").press("Enter")
    until(lambda: "water" not in tab.inner_text("#rules"))
    said(tab, "#said", "Choose at least one rule.")


def test_another_rule_set_shows_before_any_preview(
    open_tab: Callable[[], Any], server: Server, tmp_path: Path
) -> None:
    tab = open_tab()
    long = tmp_path / "long.mp4"
    make_clip(long, 30, "1920x1080")
    previewed(tab, long)
    before = tab.locator("#compare img").last.get_attribute("src")
    choose(tab, "#ruleset", "earth")
    tab.wait_for_selector("#strip :text('lichen')")
    until(lambda: "bark,stone" in tab.input_value("#command textarea"))
    assert tab.locator("#compare img").last.get_attribute("src") == before
    tab.wait_for_selector("#strip button[data-rule=lichen] img")


def test_the_stage_stays_in_view(open_tab: Callable[[], Any], clip: Path) -> None:
    tab = open_tab()
    previewed(tab, clip)
    top = "where => document.querySelector(where).getBoundingClientRect().top"
    tab.set_viewport_size({"width": 1440, "height": 900})
    tab.locator("#part").scroll_into_view_if_needed()
    tab.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert tab.evaluate("scrollY") > 300
    for where in ("#compare", "#render"):
        assert 0 <= tab.evaluate(top, where) < 860, where
    # What has no room in the window is below, not in a second column.
    tab.set_viewport_size({"width": 1440, "height": 500})
    assert tab.evaluate("(s => s.scrollWidth <= s.clientWidth)(document.querySelector('#stage'))")
    assert tab.evaluate(top, "#render") > tab.evaluate(top, "#compare") + 200
    # On a phone it comes before the form, leaves room for it, and the picture stays.
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.evaluate("scrollTo(0, 0)")
    assert tab.evaluate(top, "#clip") < tab.evaluate(top, "#compare")
    assert tab.evaluate(top, "#compare") < tab.evaluate(top, "#time") < tab.evaluate(top, "#looks")
    # The page's own scripts lay it out again some time after the window has changed.
    until(lambda: tab.evaluate(top, "#looks button") < 760)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.locator("#control").scroll_into_view_if_needed()
    tab.evaluate("scrollBy(0, 400)")
    assert abs(tab.evaluate(top, "#compare")) < 2
    height = tab.evaluate("document.querySelector('#compare').clientHeight")
    assert 80 < height < 844 / 3


def test_a_look_that_ships_is_chosen_by_name(open_tab: Callable[[], Any], clip: Path) -> None:
    tab = open_tab()
    previewed(tab, clip)
    look = looks()["woodcut"]
    tile = tab.locator("#looks button", has_text=look.name)
    assert tile.get_attribute("title") == look.summary
    tile.click()
    command = "#command textarea"
    until(lambda: "--rules sand,bark" in tab.input_value(command))
    # On a busy machine the page takes a look over in several turns.
    until(lambda: "--contrast 16" in tab.input_value(command))
    until(lambda: places(tab) == {"bark": "2", "stone": None, "sand": "1", "lichen": None})
    shown = "all => all.map(image => image.naturalWidth)"
    assert tab.eval_on_selector_all("#looks img", shown) == [192] * len(looks())


def test_files_of_ones_own(
    open_tab: Callable[[], Any],
    clip: Path,
    tmp_path: Path,
    make_ruleset: Callable[..., RuleSet],
) -> None:
    tab = open_tab()
    previewed(tab, clip)
    command = "#command textarea"
    tab.click("#files button")
    wanted = "fire=edges:2,smooth=0.15,blur=1.5,weight=1.3"
    burning = LOOKS / "burning-edges.toml"
    drop_until(lambda: wanted in tab.input_value(command), tab, "#look-file", burning)
    drop(tab, "#look-file", LOOKS / "polar-night.toml")
    until(lambda: "--rules aurora,nebula" in tab.input_value(command))

    def saved() -> RenderOptions:
        with tab.expect_download() as download:
            tab.click("#save-look")
        download.value.save_as(tmp_path / "saved.toml")
        return RenderOptions(**load_look(tmp_path / "saved.toml"))

    # The page takes a look over bit by bit: the command line first, the button after it.
    polar = RenderOptions(**load_look(LOOKS / "polar-night.toml"))
    until(lambda: saved() == polar)
    make_ruleset(rules=("rust", "ash"), name="own").save(tmp_path / "any name.safetensors")
    drop(tab, "#ruleset-file", tmp_path / "any name.safetensors")
    until(lambda: "--rules rust,ash" in tab.input_value(command))
    (tmp_path / "bad.safetensors").write_text("no rule set")
    drop(tab, "#ruleset-file", tmp_path / "bad.safetensors")
    tab.wait_for_selector(".toast-body :text('bad.safetensors')")
    assert "/" not in tab.inner_text(".toast-body")


def held_back(tab: Any, text: str, most: float = math.inf) -> list[Any]:
    """Hold back what the page sends with `text` in it, and return what is held: `most` at most."""
    held: list[Any] = []

    def slow_for_one(route: Any) -> None:
        if text in (route.request.post_data or "") and len(held) < most:
            held.append(route)
        else:
            route.continue_()

    tab.route("**/queue/join*", slow_for_one)
    return held


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


def test_a_choice_that_another_overtook_does_not_count(
    open_tab: Callable[[], Any], clip: Path
) -> None:
    tab = open_tab()
    previewed(tab, clip)
    held = held_back(tab, '"rules":["fire","moss","water"]', most=1)
    tab.click("#strip button[data-rule=water]")
    until(lambda: bool(held))
    tab.click("#strip button[data-rule=magma]")
    until(lambda: "--rules fire,moss,water,magma" in tab.input_value("#command textarea"))
    held[0].continue_()
    tab.wait_for_timeout(2000)
    assert "--rules fire,moss,water,magma" in tab.input_value("#command textarea")


def test_what_is_asked_for_has_the_rules_that_the_swatches_show(
    open_tab: Callable[[], Any], clip: Path
) -> None:
    tab = open_tab()
    previewed(tab, clip)
    held = held_back(tab, '"rules":[')
    for rule in ("fire", "moss"):
        tab.click(f"#strip button[data-rule={rule}]")
    tab.click("#fractal > button")
    for button, news in (
        ("#move", "#motion-news"),
        ("#picture", "#picture-news"),
        ("#render", "#news"),
        ("#fractal-make", "#fractal-news"),
    ):
        tab.click(button)
        said(tab, news, "Choose at least one rule.")
    assert len(held) == 2
    assert "--rules fire,moss" in tab.input_value("#command textarea")
    for route in held:
        route.continue_()
    said(tab, "#said", "Choose at least one rule.")


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
    own_control(tab, 2, "Edges")
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


PIXEL = """([x, y]) => {
  const canvas = document.querySelector("#motion canvas");
  const at = [Math.round(canvas.width * x), Math.round(canvas.height * y), 1, 1];
  return [...canvas.getContext("2d").getImageData(...at).data].slice(0, 3);
}"""


def test_two_seconds_in_motion(open_tab: Callable[[], Any], clip: Path, tmp_path: Path) -> None:
    blue = tmp_path / "blue.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=0x2040e0:s=160x90:r=12:d=1",
         "-pix_fmt", "yuv420p", str(blue)], check=True,
    )  # fmt: skip
    tab = open_tab()
    previewed(tab, blue)
    tab.click("#move")
    tab.wait_for_selector("#motion canvas")
    tab.wait_for_function("() => document.querySelector('#motion video').readyState >= 2")
    assert not tab.is_visible("#compare")
    video = tab.locator("#motion video")
    facts = "v => [v.videoWidth, v.videoHeight, v.loop, v.muted, v.paused]"
    assert video.evaluate(facts) == [320, 90, True, True, False]
    # One line parts the clip, on its left, from the result.
    line = "#motion input[type=range]"
    tab.wait_for_timeout(200)

    def is_blue(x: float) -> bool:
        red, _, blue = tab.evaluate(PIXEL, [x, 0.5])
        return bool(blue > 170 and red < 90)

    assert is_blue(0.3) and not is_blue(0.8)
    tab.focus(line)
    tab.keyboard.press("End")
    until(lambda: is_blue(0.8))
    tab.keyboard.press("Home")
    until(lambda: not is_blue(0.3))
    tab.click("#still")
    tab.wait_for_selector("#compare img")
    assert not tab.is_visible("#motion") and not tab.is_visible("#still")
    # Another choice shows a picture of itself, not a clip of the last.
    tab.click("#move")
    tab.wait_for_selector("#motion canvas")
    tab.click("#strip button[data-rule=magma]")
    tab.wait_for_selector("#compare img")
    assert not tab.is_visible("#motion")


def test_a_moment_in_motion_waits_for_a_render(
    open_tab: Callable[[], Any], server: Server, tmp_path: Path
) -> None:
    tab = open_tab()
    long = tmp_path / "long.mp4"
    make_clip(long, 1500, "480x270")
    previewed(tab, long)
    tab.click("#render")
    said(tab, "#news", "of 1500 frames")
    tab.click("#move")
    said(tab, "#motion-news", "Waiting for another render to end")
    tab.click("#still")
    until(lambda: not tab.is_visible("#motion-news") and tab.is_enabled("#move"))
    assert len(workers(server)) == 1 and tab.is_visible("#compare")
    tab.click("#cancel")
    said(tab, "#news", "Cancelled.")


def test_the_mask_is_shown_over_the_clip(open_tab: Callable[[], Any], clip: Path) -> None:
    tab = open_tab()
    previewed(tab, clip)
    shown = "#drivers button:has-text('fire over the clip') img"
    tab.click("button:has-text('Controls at this moment')")
    tab.wait_for_selector("#drivers button:has-text('expression') img")
    assert not tab.query_selector(shown)
    tab.click("#files button")
    command = "#command textarea"
    person = LOOKS / "burning-person.toml"
    drop_until(lambda: "segment:person" in tab.input_value(command), tab, "#look-file", person)
    tab.wait_for_selector(shown)
    tab.locator(shown).scroll_into_view_if_needed()  # it is loaded when it comes into view
    wide = "(image) => image.complete && image.naturalWidth"
    until(lambda: tab.eval_on_selector(shown, wide) == 160)
    assert "segment:person,rise=60" in tab.input_value("#command textarea")


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


def workers(server: Server) -> list[str]:
    """The renders that are going on."""
    listed = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(server.process.pid)], capture_output=True, text=True
    )
    return [line for line in listed.stdout.splitlines() if "batch.worker" in line]


def test_two_users_at_once(
    open_tab: Callable[[], Any], server: Server, clip: Path, tmp_path: Path
) -> None:
    first, second = open_tab(), open_tab()
    long, other = tmp_path / "first.mp4", tmp_path / "second.mp4"
    make_clip(long, 120, "320x180")
    shutil.copy(clip, other)
    previewed(first, long)
    previewed(second, other)
    first.click("#render")
    said(first, "#news", "of 120 frames")
    second.click("#render")
    said(second, "#news", "Waiting for another render")
    said(first, "#news", "first.fire-moss.mp4: 120 frames")
    said(second, "#news", "second.fire-moss.mp4: 12 frames")
    assert "first" not in second.inner_html("#result")
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


def test_training_is_watched_stopped_and_used(
    open_tab: Callable[[], Any], server: Server, clip: Path, tmp_path: Path
) -> None:
    tab = open_tab()
    tab.click("button[role=tab]:has-text('Train')")
    tab.click("#train")
    said(tab, "#train-news", "Name at least one rule.")
    tab.fill("#rule-0 input, #rule-0 textarea", "rust")
    tab.click("#train")
    said(tab, "#train-news", "Rust has no style picture")
    drop(tab, "#styles-0", STYLES / "bark.png")
    tab.wait_for_selector("#styles-0 :text('bark')")
    tab.click("button:has-text('More')")
    for where, value in (("#train-size", "48"), ("#iterations", "2000")):
        enter(tab, f"{where} input[type=number]", value, "Tab")
    tab.click("#train")
    said(tab, "#train-news", *(f"\n{n} of 2000 iterations" for n in range(3, 2000)),
         *(f"{n} of 2000 iterations" for n in range(3, 2000)))  # fmt: skip
    assert 'name = "rust"' in tab.input_value("#recipe textarea")
    tab.click("#train-stop")
    assert "mine can be chosen" in said(tab, "#train-news", "Stopped after")
    with tab.expect_download() as download:
        tab.click("#train-download")
    download.value.save_as(tmp_path / "mine.safetensors")
    assert RuleSet.open(tmp_path / "mine.safetensors").rule_names == ("rust",)
    with tab.expect_download() as download:
        tab.click("#train-page")
    assert download.value.suggested_filename == "mine.html"
    tab.click("button[role=tab]:has-text('Render')")
    choose(tab, "#ruleset", "mine")
    tab.wait_for_selector("#strip :text('rust')")
    previewed(tab, clip)
    until(lambda: "--ruleset mine.safetensors" in tab.input_value("#command textarea"))


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


def test_it_says_what_it_cannot_do(tmp_path: Path) -> None:
    import socket

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
