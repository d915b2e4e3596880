"""Looks and rule sets that are opened in the app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_browser import IN_BROWSER, drop, drop_until, places, previewed, until

from ncavideo.nca.ruleset import RuleSet
from ncavideo.rendering.look_file import load_look
from ncavideo.rendering.looks import looks
from ncavideo.rendering.options import RenderOptions

LOOKS = Path(__file__).parents[2] / "examples" / "looks"
pytest.importorskip("gradio")
pytestmark = IN_BROWSER


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
