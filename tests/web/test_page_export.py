"""What `export` writes: one small file that asks for nothing, and no file from bad input."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_in_browser import needs_browser, new_tab, run, until

from ncavideo.nca.ruleset import Rule, RuleSet, open_ruleset
from ncavideo.web.export import export, page

pytestmark = pytest.mark.slow


def test_it_is_one_small_file_that_asks_for_nothing() -> None:
    text = page(open_ruleset("elements"))
    assert len(text.encode()) < 300_000
    assert "default-src 'none'" in text
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", text)
    assert "%" + "STYLE%" not in text


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
