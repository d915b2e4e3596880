"""Rule set files: what is saved comes back, and no file whatever does worse than one sentence."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as save_arrays

from ncavideo.nca.catalog import plain_presets, preset_folder, preset_of, presets
from ncavideo.nca.ruleset import FORMAT, VERSION, Rule, RuleSet, find_ruleset, open_ruleset
from ncavideo.util.errors import OutputError, UserError

Make = Callable[..., RuleSet]

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,31}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def sentence(path: Path) -> str:
    """Return what loading says of a bad file. Anything but a `UserError` fails the test."""
    with pytest.raises(UserError) as caught:
        RuleSet.load(path)
    said = str(caught.value)
    assert "\n" not in said
    assert str(path) in said, "it must say which file"
    assert len(said) < len(str(path)) + 500
    return said


def same(a: RuleSet, b: RuleSet) -> bool:
    plain = (a.name, a.rules, a.inputs, a.fire_rate, a.provenance)
    other = (b.name, b.rules, b.inputs, b.fire_rate, b.provenance)
    pairs = ((a.w1, b.w1), (a.b1, b.b1), (a.w2, b.w2))
    return plain == other and all(x.tobytes() == y.tobytes() for x, y in pairs)


def write(path: Path, header: dict[str, Any] | bytes, body: bytes = b"") -> Path:
    """Write a safetensors file by hand."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + body)
    return path


@pytest.fixture
def good(tmp_path: Path, make_ruleset: Make) -> Path:
    path = tmp_path / "good.safetensors"
    make_ruleset().save(path)
    return path


def opened(path: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Return a rule set file's header, its document and its body."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["ncavideo"]), data[8 + length :]


def edited(good: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """Write the good file again with its document changed."""
    header, document, body = opened(good)
    edit(document)
    header["__metadata__"]["ncavideo"] = json.dumps(document)
    return write(good.with_name("edited.safetensors"), header, body)


# Round trips


@given(
    seed=st.integers(0, 2**32),
    channels=st.integers(3, 9),
    hidden=st.integers(1, 12),
    names=st.lists(NAMES, min_size=1, max_size=6, unique=True),
    rules=st.integers(1, 6),
    texts=st.tuples(TEXT, TEXT, TEXT),
    fire_rate=st.floats(0, 1, exclude_min=True),
    provenance=st.dictionaries(TEXT, JSON, max_size=4),
)
@example(0, 3, 1, ["fire"], 1, ("日本の炎 🔥\n\0\"'", "é.png", "‏"), 1.0, {"é": [1.5, None]})
@settings(max_examples=60)
def test_round_trip(
    make_ruleset: Make,
    seed: int,
    channels: int,
    hidden: int,
    names: list[str],
    rules: int,
    texts: tuple[str, str, str],
    fire_rate: float,
    provenance: dict[str, Any],
) -> None:
    original = make_ruleset(
        seed,
        channels=channels,
        hidden=hidden,
        rules=tuple(names[:rules]),
        others=tuple(names[rules:]),
        fire_rate=fire_rate,
    )
    kept = tuple(Rule(rule.name, *texts) for rule in original.rules)
    original = replace(original, rules=kept, provenance=provenance)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.safetensors")
        original.save(path)
        loaded = RuleSet.load(path)
        assert same(loaded, original)
        assert [p.name for p in Path(folder).iterdir()] == ["a.safetensors"]
        # Saving what was loaded gives the same file, byte for byte.
        data = path.read_bytes()
        loaded.save(path)
        assert path.read_bytes() == data
    assert (loaded.channels, loaded.hidden) == (channels, hidden)
    assert loaded.rule_names == tuple(names[:rules])


def test_any_memory_order_and_extreme_numbers(tmp_path: Path, make_ruleset: Make) -> None:
    ruleset = make_ruleset()
    w1 = np.asfortranarray(ruleset.w1)
    w1[0, :4] = [np.finfo(np.float32).max, 1e-45, -0.0, np.finfo(np.float32).tiny]
    original = replace(ruleset, w1=w1, w2=np.repeat(ruleset.w2, 2, 0)[::2])
    original.save(tmp_path / "a.safetensors")
    assert same(RuleSet.load(tmp_path / "a.safetensors"), original)


def test_a_fresh_load_needs_no_torch(good: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ncavideo.nca.ruleset import RuleSet;"
        f"RuleSet.load(Path({str(good)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Saving


def test_saving_replaces_the_file_as_a_whole(good: Path, make_ruleset: Make) -> None:
    other = make_ruleset(9, rules=("ice",))
    other.save(good)
    assert same(RuleSet.load(good), other)
    assert [p.name for p in good.parent.iterdir()] == [good.name]


@pytest.mark.parametrize(
    "provenance",
    [{"a": object()}, {"a": {1, 2}}, {"a": "\ud800"}],
    ids=["an object", "a set", "half a character"],
)
def test_what_cannot_be_saved_leaves_the_old_file(
    good: Path, make_ruleset: Make, provenance: dict[str, Any]
) -> None:
    before = good.read_bytes()
    with pytest.raises((TypeError, ValueError, UserError, OutputError)):
        replace(make_ruleset(1), provenance=provenance).save(good)
    assert good.read_bytes() == before
    assert [p.name for p in good.parent.iterdir()] == [good.name]


def test_saving_where_it_cannot_leaves_nothing(tmp_path: Path, make_ruleset: Make) -> None:
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "folder", tmp_path / "missing" / "a.safetensors"):
        with pytest.raises((OSError, UserError, OutputError)):
            make_ruleset().save(target)
    assert [p.name for p in tmp_path.rglob("*")] == ["folder"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit")
def test_a_full_disk_leaves_the_old_file(good: Path) -> None:
    code = f"""
import resource, signal, sys
from dataclasses import replace
from pathlib import Path
from ncavideo.nca.ruleset import RuleSet
path = Path({str(good)!r})
ruleset = replace(RuleSet.load(path), provenance={{"long": "x" * 5000}})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    ruleset.save(path)
except Exception as error:
    print(type(error).__name__)
"""
    before = good.read_bytes()
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() in ("OSError", "OutputError", "UserError")
    assert good.read_bytes() == before
    assert [p.name for p in good.parent.iterdir()] == [good.name]


# Files that are no good


def test_truncated_at_every_length(good: Path) -> None:
    data = good.read_bytes()
    cut = good.with_name("cut.safetensors")
    header = struct.unpack("<Q", data[:8])[0] + 8
    lengths = {*range(12), *range(header - 3, header + 3), len(data) - 1}
    lengths |= set(range(12, len(data), 13))
    for length in sorted(lengths):
        cut.write_bytes(data[:length])
        sentence(cut)
    assert not list(good.parent.glob("*.part*"))


def test_anything_appended_is_noticed(good: Path) -> None:
    longer = good.with_name("longer.safetensors")
    longer.write_bytes(good.read_bytes() + b"\0")
    sentence(longer)


@pytest.mark.slow
def test_flipped_bits_never_crash(good: Path) -> None:
    data = good.read_bytes()
    flipped = good.with_name("flipped.safetensors")
    header = struct.unpack("<Q", data[:8])[0] + 8
    draw = random.Random(0)
    bits = [*range(64), *(draw.randrange(64, 8 * header) for _ in range(400))]
    bits += [draw.randrange(8 * header, 8 * len(data)) for _ in range(60)]
    refused = 0
    for bit in bits:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        flipped.write_bytes(changed)
        try:
            loaded = RuleSet.load(flipped)
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            # A letter of a prompt or a digit of a weight may differ; what is loaded is sound.
            assert all(np.isfinite(a).all() for a in (loaded.w1, loaded.b1, loaded.w2))
    assert refused > 150


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_document_is_a_rule_set_or_one_sentence(good: Path, data: st.DataObject) -> None:
    """Replace some parts of the document by any JSON."""
    header, document, body = opened(good)
    places: list[tuple[Any, Any]] = [(document, key) for key in document]
    places += [(document["config"], key) for key in document["config"]]
    places += [(document["rules"][0], key) for key in document["rules"][0]]
    places += [(document["rules"], 1), (document["config"]["inputs"], 0)]
    for where, key in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
        where[key] = data.draw(JSON)
    header["__metadata__"]["ncavideo"] = json.dumps(document)
    path = write(good.with_name("fuzzed.safetensors"), header, body)
    try:
        loaded = RuleSet.load(path)
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert isinstance(loaded.name, str)
    assert isinstance(loaded.provenance, dict)
    assert all(isinstance(rule.prompt, str) for rule in loaded.rules)


@given(st.binary(max_size=80))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "noise.safetensors"
    path.write_bytes(data)
    sentence(path)
    sentence(write(path, data))


def test_a_newer_file_names_its_version(good: Path) -> None:
    said = sentence(edited(good, lambda d: d.update(version=VERSION + 6)))
    assert f"version {VERSION + 6}" in said
    assert str(VERSION) in said
    assert "install a newer ncavideo" in said


def test_a_newer_file_of_an_unknown_shape_names_its_version(tmp_path: Path) -> None:
    """What a later version may do to arrays, config or rules must not hide its version."""
    document = {"format": FORMAT, "version": VERSION + 1, "config": [], "layers": 3}
    header = {"__metadata__": {"ncavideo": json.dumps(document)}, "w": {"dtype": "Q4_7"}}
    said = sentence(write(tmp_path / "new.safetensors", header, b"\1\2\3"))
    assert f"version {VERSION + 1}" in said


@pytest.mark.parametrize("version", [None, 0, -1, "1", 1.5, True, [1], {"a": 1}], ids=str)
def test_version_must_be_a_number(good: Path, version: object) -> None:
    sentence(edited(good, lambda d: d.update(version=version)))


def test_foreign_safetensors(tmp_path: Path, good: Path) -> None:
    arrays = {"weight": np.zeros((2, 2), np.float32)}
    path = tmp_path / "foreign.safetensors"
    for metadata in (None, {"format": "pt"}, {"ncavideo": "hello"}, {"ncavideo": "[1, 2]"}):
        path.write_bytes(save_arrays(arrays, metadata))
        assert "not an ncavideo rule set" in sentence(path)
    assert "not an ncavideo" in sentence(edited(good, lambda d: d.update(format="other")))


def test_other_kinds_of_file(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    for content in (b"", b"\0", b"\x80\x04\x95", b"PK\x03\x04" + b"\0" * 90, b"x" * 5000):
        path.write_bytes(content)
        sentence(path)


def test_places_without_a_file(tmp_path: Path) -> None:
    assert "folder" in sentence(tmp_path)
    assert "No such file" in sentence(tmp_path / "missing.safetensors")
    sentence(tmp_path / ("x" * 400 + ".safetensors"))


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert "too large" in sentence(path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 200_000,
        "[" * 100_000 + "]" * 100_000,
        "1" * 100_000,
        '{"format": "ncavideo-ruleset", "version": ' + "9" * 6000 + "}",
        '{"format": "ncavideo-ruleset", "version": 1e999}',
        "NaN",
        '"' + "\\ud800" * 10 + '"',
        "",
    ],
    ids=lambda text: text[:12],
)
def test_json_bombs(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bomb.safetensors"
    sentence(write(path, {"__metadata__": {"ncavideo": text}}))
    sentence(write(path, text.encode()))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("fire_rate", 10**400),
        ("fire_rate", float("nan")),
        ("fire_rate", float("inf")),
        ("fire_rate", 0),
        ("fire_rate", 1.5),
        ("fire_rate", -0.5),
        ("fire_rate", None),
        ("fire_rate", [0.5]),
        ("fire_rate", "often"),
        ("name", "../evil"),
        ("name", "Fire"),
        ("name", ""),
        ("name", 7),
        ("name", "a" * 33),
        ("inputs", ["moss", "fire", "light"]),
        ("inputs", ["fire", "moss", "fire"]),
        ("inputs", ["fire", "moss"]),
        ("inputs", ["fire", "moss", "light", "wind"]),
        ("inputs", ["fire", "moss", "\n"]),
        ("inputs", []),
        ("inputs", 3),
        ("channels", 5),
        ("channels", 10**9),
        ("hidden", 9),
        ("hidden", -1),
    ],
    ids=lambda value: str(value)[:12],
)
def test_lying_config(good: Path, place: str, value: object) -> None:
    sentence(edited(good, lambda d: d["config"].update({place: value})))


@pytest.mark.parametrize(
    "rules",
    [[], None, "fire", {"fire": 1}, [1, 2], [{}, {}], [{"name": "fire"}] * 2],
    ids=str,
)
def test_lying_rules(good: Path, rules: object) -> None:
    sentence(edited(good, lambda d: d.update(rules=rules)))


@pytest.mark.parametrize("provenance", [None, 3, "text", [], [["a", 1]]], ids=str)
def test_provenance_must_be_a_table(good: Path, provenance: object) -> None:
    sentence(edited(good, lambda d: d.update(provenance=provenance)))


@pytest.mark.parametrize("key", ["config", "rules"])
def test_missing_parts_are_named(good: Path, key: str) -> None:
    assert key in sentence(edited(good, lambda d: d.pop(key)))


def arrays_of(ruleset: RuleSet) -> dict[str, np.ndarray]:
    return {"w1": ruleset.w1, "b1": ruleset.b1, "w2": ruleset.w2}


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.pop("w1"),
        lambda a: a.pop("w2"),
        lambda a: a.update(w1=a["w1"][:, 1:].copy()),
        lambda a: a.update(w1=a["w1"].T.copy()),
        lambda a: a.update(w1=a["w1"].ravel()),
        lambda a: a.update(b1=a["b1"][1:].copy()),
        lambda a: a.update(b1=a["b1"][None]),
        lambda a: a.update(b1=np.array(1, np.float32)),
        lambda a: a.update(w2=a["w2"][:2].copy()),
        lambda a: a.update(w2=a["w2"][..., None]),
        lambda a: a.update(w2=np.zeros((4, 0), np.float32)),
        lambda a: a.update(w2=np.zeros((0, 0), np.float32)),
        lambda a: a.update(w1=a["w1"].astype(np.float64)),
        lambda a: a.update(w1=a["w1"].astype(np.float16)),
        lambda a: a.update(w1=a["w1"].astype(np.int32)),
        lambda a: a.update(w1=np.where(a["w1"] == a["w1"].max(), np.float32("nan"), a["w1"])),
        lambda a: a.update(b1=np.full_like(a["b1"], np.inf)),
        lambda a: a.update(w2=np.full_like(a["w2"], -np.inf)),
        dict.clear,
    ],
)
def test_lying_arrays(
    good: Path, make_ruleset: Make, change: Callable[[dict[str, np.ndarray]], object]
) -> None:
    arrays = arrays_of(make_ruleset())
    change(arrays)
    text = opened(good)[0]["__metadata__"]["ncavideo"]
    path = good.with_name("lying.safetensors")
    path.write_bytes(save_arrays(arrays, {"ncavideo": text}))
    assert "not a sound rule set" in sentence(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": [2**40, 2**40]},
        {"shape": [-1, 5]},
        {"shape": "big"},
        {"data_offsets": [0, 2**62]},
        {"data_offsets": [8, 0]},
        {"dtype": "BF16"},
        {"dtype": "F8_E4M3"},
        {"dtype": "F4"},
        {"dtype": "object"},
        {"dtype": None},
    ],
    ids=str,
)
def test_lying_header(good: Path, entry: dict[str, Any]) -> None:
    header, _, body = opened(good)
    header["w1"].update(entry)
    sentence(write(good.with_name("lying.safetensors"), header, body))


def test_brain_float_weights_are_not_called_missing(good: Path) -> None:
    header, _, body = opened(good)
    count = int(np.prod(header["w1"]["shape"]))
    for entry in header.values():
        if "data_offsets" in entry:
            begin, end = entry["data_offsets"]
            entry.update(dtype="BF16", data_offsets=[begin // 2, end // 2])
    assert count > 0
    said = sentence(write(good.with_name("brain.safetensors"), header, body[: len(body) // 2]))
    assert "missing" not in said


# Finding


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
