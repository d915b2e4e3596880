"""Files that are no rule sets, or damaged ones."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruleset_files import JSON, Make, sentence
from safetensors.numpy import save as save_arrays

from ncavideo.nca.ruleset import FORMAT, VERSION, RuleSet
from ncavideo.util.errors import UserError


def write(path: Path, header: dict[str, Any] | bytes, body: bytes = b"") -> Path:
    """Write a safetensors file by hand."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + body)
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
