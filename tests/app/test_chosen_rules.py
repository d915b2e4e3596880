"""Rules that are chosen in the app, and their own controls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_browser import (
    IN_BROWSER,
    Server,
    choose,
    choose_ruleset,
    drop_until,
    held_back,
    make_clip,
    own_control,
    places,
    previewed,
    said,
    tab_through,
    until,
    without_value,
)

LOOKS = Path(__file__).parents[2] / "examples" / "looks"
pytest.importorskip("gradio")
pytestmark = IN_BROWSER


def test_a_rule_keeps_its_own_control_when_others_go(
    open_tab: Callable[[], Any], clip: Path
) -> None:
    tab = open_tab()
    previewed(tab, clip)
    command = "#command textarea"
    own_control(tab, "moss", "Edges")
    until(lambda: "moss=edges" in tab.input_value(command))
    tab.click("#strip button[data-rule=fire]")
    until(lambda: "--rules moss" in tab.input_value(command))
    until(lambda: "moss=edges" in tab.input_value(command))
    tab.click("#strip button[data-rule=water]")
    until(lambda: tab.input_value(command).endswith("--rules moss,water --control moss=edges"))
    # Another rule set has other rules: none of them takes the control over.
    choose_ruleset(tab, "cosmos", "nebula")
    until(lambda: tab.input_value(command).endswith("--rules nebula,aurora"))


def test_controls_of_rules_do_not_move(browser: Any, server: Server, clip: Path) -> None:
    losing, moved = without_value(b'"edges"')
    with tab_through(browser, server, losing) as tab:
        previewed(tab, clip)
        command = "#command textarea"
        own_control(tab, "moss", "Edges")
        until(lambda: "moss=edges" in tab.input_value(command))
        tab.click("#strip button[data-rule=fire]")
        until(lambda: "--rules moss --control moss=edges" in tab.input_value(command))
        tab.click("#strip button[data-rule=water]")
        tab.click("#strip button[data-rule=fire]")
        until(lambda: "moss,water,fire --control moss=edges" in tab.input_value(command))
    assert not moved


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


def test_rules_that_the_page_lost_come_again(browser: Any, server: Server, clip: Path) -> None:
    losing, lost = without_value(b'["aurora","nebula"]')
    with tab_through(browser, server, losing) as tab:
        previewed(tab, clip)
        tab.click("#files button")
        drop_until(lambda: bool(lost), tab, "#look-file", LOOKS / "polar-night.toml")
        until(lambda: "--rules aurora,nebula" in tab.input_value("#command textarea"))
