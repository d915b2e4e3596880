"""Finding a rule set by its name, its rules or its path."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruleset_files import Make

from ncavideo.nca.catalog import plain_presets, preset_folder, preset_of, presets
from ncavideo.nca.ruleset import RuleSet, find_ruleset, open_ruleset
from ncavideo.util.errors import UserError


@pytest.fixture
def shelf(tmp_path: Path, make_ruleset: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of presets: two sets, with one rule name in common."""
    folder = tmp_path / "presets"
    folder.mkdir()
    make_ruleset(1, rules=("fire", "moss", "water"), name="elements").save(
        folder / "elements.safetensors"
    )
    make_ruleset(2, rules=("silk", "ink", "water"), name="fabric").save(
        folder / "fabric.safetensors"
    )
    (folder / "notes.txt").write_text("not a preset")
    (folder / "elements.toml").write_text("not a preset")
    monkeypatch.setattr("ncavideo.nca.catalog.preset_folder", lambda: folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_presets_by_name(shelf: Path) -> None:
    assert list(presets()) == ["elements", "fabric"]
    assert open_ruleset("fabric").rule_names == ("silk", "ink", "water")


def test_the_preset_folder_is_in_the_package_or_beside_it() -> None:
    assert preset_folder().name == "presets"
    assert (preset_folder() / "elements.toml").is_file()
    for path in presets().values():
        assert path.stem == RuleSet.load(path).name


def test_a_plain_set_is_found_before_its_variants() -> None:
    assert {"elements", "tiny"} <= plain_presets().keys()
    assert not {"elements-fine", "elements-rich"} & plain_presets().keys()
    for path in plain_presets().values():
        assert preset_of(RuleSet.load(path).rule_names[0]) == path.stem
    assert find_ruleset(["fire", "moss"]).name == "elements"
    with pytest.raises(UserError, match="fire is in elements, sand is in earth"):
        find_ruleset(["fire", "sand"])


def test_finds_the_set_that_has_all_rules(shelf: Path) -> None:
    assert find_ruleset(["moss", "fire"]).name == "elements"
    assert find_ruleset(["ink"]).name == "fabric"
    assert find_ruleset(["ink", "water"]).name == "fabric"
    assert find_ruleset(["fire", "water"]).name == "elements"
    assert find_ruleset(["water"], "fabric").name == "fabric"


def test_a_file_by_path(shelf: Path, tmp_path: Path, make_ruleset: Make) -> None:
    own = tmp_path / "own.safetensors"
    make_ruleset(3, rules=("ice",), name="own").save(own)
    assert find_ruleset(["ice"], str(own)).name == "own"
    own.rename(tmp_path / "no-suffix")
    assert find_ruleset(["ice"], str(tmp_path / "no-suffix")).name == "own"


def test_unknown_rule_suggests_the_nearest(shelf: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_ruleset(["fire", "mos"])
    said = str(caught.value)
    assert "'mos'" in said
    assert "did you mean 'moss'?" in said
    assert "elements: fire, moss, water" in said
    assert "fabric: silk, ink, water" in said
    with pytest.raises(UserError) as caught:
        find_ruleset(["qqqqq"])
    assert "did you mean" not in str(caught.value)


def test_rules_of_two_sets(shelf: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_ruleset(["fire", "silk"])
    said = str(caught.value)
    assert "fire is in elements" in said
    assert "silk is in fabric" in said
    # `water` is in both; the sentence must not claim what would make the request possible.
    with pytest.raises(UserError, match="fire is in elements"):
        find_ruleset(["fire", "water", "ink"])


def test_a_rule_that_the_named_set_lacks(shelf: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_ruleset(["silc"], "fabric")
    assert "did you mean 'silk'?" in str(caught.value)
    assert "elements" not in str(caught.value)
    with pytest.raises(UserError, match="there is no rule 'fire'"):
        find_ruleset(["fire"], "fabric")


def test_unknown_rule_set(shelf: Path) -> None:
    with pytest.raises(UserError) as caught:
        open_ruleset("element")
    assert "did you mean 'elements'?" in str(caught.value)
    assert "fabric" in str(caught.value)
    with pytest.raises(UserError, match="No such file"):
        open_ruleset("nowhere/element.safetensors")
    for odd in ("x" * 400, "", "."):
        with pytest.raises(UserError):
            open_ruleset(odd)


def test_no_presets_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncavideo.nca.catalog.preset_folder", lambda: tmp_path / "none")
    assert presets() == {}
    for ask in (lambda: open_ruleset("fire"), lambda: find_ruleset(["fire"])):
        with pytest.raises(UserError) as caught:
            ask()
        # Nothing may trail off into an empty list.
        assert not str(caught.value).rstrip().endswith((":", "are"))


def test_a_damaged_preset_is_named(shelf: Path) -> None:
    (shelf / "broken.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(UserError, match="broken"):
        find_ruleset(["nothing-like-it"])
