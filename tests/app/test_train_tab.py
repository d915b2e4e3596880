"""Training in the app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_browser import IN_BROWSER, Server, choose, drop, enter, previewed, said, until

from ncavideo.nca.ruleset import RuleSet

STYLES = Path(__file__).parents[2] / "examples" / "styles"
pytest.importorskip("gradio")
pytestmark = IN_BROWSER


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
