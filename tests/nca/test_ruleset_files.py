"""Rule sets as files: round trips, and saving."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruleset_files import JSON, TEXT, Make

from ncavideo.nca.ruleset import Rule, RuleSet
from ncavideo.util.errors import OutputError, UserError

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,31}", fullmatch=True)


def same(a: RuleSet, b: RuleSet) -> bool:
    plain = (a.name, a.rules, a.inputs, a.fire_rate, a.provenance)
    other = (b.name, b.rules, b.inputs, b.fire_rate, b.provenance)
    pairs = ((a.w1, b.w1), (a.b1, b.b1), (a.w2, b.w2))
    return plain == other and all(x.tobytes() == y.tobytes() for x, y in pairs)


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
