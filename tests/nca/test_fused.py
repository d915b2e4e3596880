"""What only the fused CPU engine promises: any shape, any number of threads, no torch."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncavideo.nca.engines.base import Snapshot
from ncavideo.nca.engines.check import exact_step
from ncavideo.nca.engines.fused import BANDS_A_THREAD, FusedEngine
from ncavideo.nca.engines.fused_kernel import GROUP, LANES
from ncavideo.nca.fire_mask import fire_mask
from ncavideo.nca.model import Edge
from ncavideo.nca.ruleset import RuleSet

pytestmark = pytest.mark.slow

Make = Callable[..., RuleSet]


def random_inputs(ruleset: RuleSet, height: int, width: int, seed: int = 0) -> np.ndarray:
    shape = (len(ruleset.inputs), height, width)
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def agree(engine: FusedEngine, inputs: np.ndarray, steps: int, bound: float) -> None:
    """Step from a random state beside the exact step."""
    shape = (engine.ruleset.channels, engine.height, engine.width)
    state = np.random.default_rng(1).normal(0, 0.2, shape)
    engine.restore(Snapshot(state.astype(np.float32), 0))
    state = state.astype(np.float32).astype(np.float64)
    engine.step(inputs, steps)
    for step in range(steps):
        mask = fire_mask(engine.seed, step, *shape[1:], engine.ruleset.fire_rate)
        state = exact_step(engine.ruleset, state, inputs, mask, engine.edge)
    error = np.abs(engine.snapshot().state - state).max() / np.abs(state).max()
    assert error <= bound, f"relative error {error:.1e}"


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.integers(3, 2 * LANES + 3),
    hidden=st.integers(1, 8 * LANES + 3),
    others=st.integers(0, 2 * LANES + 1),
    fire_rate=st.sampled_from([0.05, 0.5, 0.73, 1.0]),
    edge=st.sampled_from(["wrap", "reflect"]),
    threads=st.integers(1, 3),
)
def test_any_shape_agrees_with_the_exact_step(
    make_ruleset: Make,
    height: int,
    width: int,
    channels: int,
    hidden: int,
    others: int,
    fire_rate: float,
    edge: Edge,
    threads: int,
) -> None:
    ruleset = make_ruleset(
        height + hidden,
        channels=channels,
        hidden=hidden,
        rules=("a",),
        others=tuple(f"other{i}" for i in range(others)),
        fire_rate=fire_rate,
    )
    engine = FusedEngine(ruleset, height, width, seed=3, edge=edge, threads=threads)
    agree(engine, random_inputs(ruleset, height, width), 5, 1e-5)


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
@pytest.mark.parametrize("size", [(64, 64), (67, 129), (1, 300), (300, 1)], ids=str)
def test_64_steps_agree(make_ruleset: Make, edge: Edge, size: tuple[int, int]) -> None:
    ruleset = make_ruleset(5, channels=12, hidden=96)
    engine = FusedEngine(ruleset, *size, seed=9, edge=edge)
    agree(engine, random_inputs(ruleset, *size), 64, 5e-5)


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
def test_the_number_of_threads_changes_no_bit(make_ruleset: Make, edge: Edge) -> None:
    ruleset = make_ruleset(6, channels=12, hidden=96)
    inputs = random_inputs(ruleset, 61, 43)
    states = []
    for threads in (1, 2, 3, 8, 61):
        engine = FusedEngine(ruleset, 61, 43, seed=4, edge=edge, threads=threads)
        for _ in range(5):
            engine.step(inputs, 7)
        states.append(engine.snapshot().state)
    for state in states[1:]:
        assert np.array_equal(state, states[0])


def test_the_same_cells_fire(make_ruleset: Make) -> None:
    ruleset = make_ruleset(7, channels=5, hidden=20)
    engine = FusedEngine(ruleset, 33, 70, seed=2**32 - 2, edge="wrap")
    rng = np.random.default_rng(0)
    state = rng.normal(0, 0.3, (5, 33, 70)).astype(np.float32)
    engine.restore(Snapshot(state, 2**31 + 5))
    engine.step(random_inputs(ruleset, 33, 70), 1)
    changed = (engine.snapshot().state != state).any(0)
    expected = fire_mask(2**32 - 2, 2**31 + 5, 33, 70, ruleset.fire_rate)
    assert np.array_equal(changed, expected)


def test_a_row_with_fewer_firing_cells_than_a_group(make_ruleset: Make) -> None:
    ruleset = make_ruleset(8, fire_rate=0.02)
    engine = FusedEngine(ruleset, 20, GROUP - 1, seed=1, edge="reflect")
    agree(engine, random_inputs(ruleset, 20, GROUP - 1), 20, 1e-5)


def test_long_jobs_in_parts_take_the_same_steps(
    make_ruleset: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    ruleset = make_ruleset(9)
    inputs = random_inputs(ruleset, 12, 10)
    whole, parts = (FusedEngine(ruleset, 12, 10, seed=0, edge="wrap") for _ in range(2))
    whole.step(inputs, 10)
    monkeypatch.setattr("ncavideo.nca.engines.fused.CELL_STEPS_A_CALL", 3 * 120)
    parts.step(inputs, 10)
    assert parts.steps_taken == 10
    assert np.array_equal(whole.snapshot().state, parts.snapshot().state)


def test_bad_numbers_stay_bad(make_ruleset: Make) -> None:
    ruleset = make_ruleset(10, fire_rate=1.0)
    engine = FusedEngine(ruleset, 9, 9, seed=0, edge="reflect")
    state = np.zeros((ruleset.channels, 9, 9), np.float32)
    state[1, 4, 4] = np.nan
    engine.restore(Snapshot(state, 0))
    engine.step(random_inputs(ruleset, 9, 9), 1)
    bad = np.isnan(engine.snapshot().state).any(0)
    assert bad[3:6, 3:6].all()
    assert bad.sum() == 9


def test_bands_are_no_thinner_than_they_must(make_ruleset: Make) -> None:
    engine = FusedEngine(make_ruleset(), 360, 8, seed=0, edge="wrap", threads=2)
    assert 360 / engine._band >= 2 * BANDS_A_THREAD


def test_a_render_on_a_cpu_imports_neither_torch_nor_clip(tmp_path: Path) -> None:
    clip = Path(__file__).parents[2] / "examples" / "clip.mp4"
    script = f"""
        import sys
        from ncavideo.cli.main import main
        options = "--rules fire,moss --duration 0.1 --cell 16 --device cpu --quiet -o out.mp4"
        main(["render", {str(clip)!r}, *options.split()], standalone_mode=False)
        sys.exit(" ".join({{"torch", "open_clip"}} & set(sys.modules)) or 0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, cwd=tmp_path)
    assert (tmp_path / "out.mp4").exists()
