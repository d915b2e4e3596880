"""The triton engine against the step in double precision.

With a CUDA device the kernel is compiled for it; without, Triton's interpreter runs it on the
CPU, which checks its results but not its speed. That it compiles is checked either way.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_promises import (
    exact,
    of_any_memory_order,
    random_inputs,
    starts_grey_and_changes_nothing,
    takes_inputs_on_its_device,
)

from ncavideo.nca import engines
from ncavideo.nca.engines import check, triton_gpu
from ncavideo.nca.engines.base import Snapshot
from ncavideo.nca.engines.triton_gpu import Precision, TritonEngine, make_plan
from ncavideo.nca.fire_mask import fire_mask, pcg4d
from ncavideo.nca.model import Edge
from ncavideo.nca.ruleset import RuleSet, open_ruleset
from ncavideo.util.errors import UserError

Make = Callable[..., RuleSet]
KERNEL = "ncavideo.nca.engines.triton_kernel"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# The largest error of each precision after 1 step and after 64, over the largest number in the
# exact state: some five times what is seen, ten times for the exact one.
BOUNDS: dict[Precision, tuple[float, float]] = {
    "exact": (1e-6, 5e-6),
    "mixed": (5e-4, 4e-3),
    "half": (2e-3, 1e-2),
}

# Height, width, channels, hidden, rules, others, fire rate. A tile is 8 x 8 cells or less.
CASES = [
    (1, 1, 3, 8, 1, 0, 1.0),
    (1, 11, 4, 8, 2, 1, 0.5),
    (10, 1, 4, 8, 2, 1, 0.5),
    (2, 2, 5, 7, 3, 0, 0.7),
    (9, 17, 12, 96, 4, 1, 0.5),
    (8, 16, 16, 33, 1, 3, 0.25),  # whole tiles
    (5, 7, 20, 130, 17, 2, 0.9),  # blocks of 32 channels and inputs, weights read for every tile
]
LONG_CASES: list[tuple[tuple[Any, ...], Edge]] = [
    (CASES[1], "wrap"),
    (CASES[3], "reflect"),
    ((7, 8, 12, 96, 4, 1, 0.5), "wrap"),
    ((7, 8, 12, 96, 4, 1, 0.5), "reflect"),
]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("triton") is None, reason="there is no Triton for this platform"
    ),
]


@pytest.fixture(scope="module", autouse=True)
def interpreter() -> Iterator[None]:
    """Have Triton interpret the kernel where no GPU can run it: decided when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, KERNEL, raising=False)
        if DEVICE == "cpu":
            patch.setenv("TRITON_INTERPRET", "1")
        yield
        sys.modules.pop(KERNEL, None)


def make_case(make_ruleset: Make, case: tuple[Any, ...]) -> tuple[RuleSet, np.ndarray]:
    height, width, channels, hidden, rules, others, fire_rate = case
    ruleset = make_ruleset(
        height * width,
        channels=channels,
        hidden=hidden,
        rules=tuple(f"rule{i}" for i in range(rules)),
        others=tuple(f"other{i}" for i in range(others)),
        fire_rate=fire_rate,
    )
    return ruleset, random_inputs(ruleset, height, width)


def start(ruleset: RuleSet, height: int, width: int, **options: Any) -> TritonEngine:
    options = {"seed": 0, "edge": "reflect", "device": DEVICE, **options}
    return TritonEngine(ruleset, height, width, **options)


def relative_error(engine: TritonEngine, expected: np.ndarray) -> float:
    got = engine.snapshot().state
    assert got.shape == expected.shape
    assert got.dtype == np.float32
    size = np.abs(expected).max()
    assert size < 50, "the case blows up and shows nothing"
    return float(np.abs(got - expected).max() / max(size, 1e-3))


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("edge", ["wrap", "reflect"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_step(
    make_ruleset: Make, case: tuple[Any, ...], edge: Edge, precision: Precision
) -> None:
    """From a state that half precision holds, so that only the step's own errors count."""
    ruleset, inputs = make_case(make_ruleset, case)
    shape = (ruleset.channels, *case[:2])
    before = np.random.default_rng(1).normal(0, 0.5, shape).astype(np.float16)
    engine = start(ruleset, *case[:2], seed=11, edge=edge, precision=precision)
    engine.restore(Snapshot(before.astype(np.float32), 5))
    engine.step(inputs, 1)
    assert engine.steps_taken == 6
    expected = exact(ruleset, inputs, 1, edge, 11, before, 5)
    if ruleset.fire_rate == 1 or case[0] * case[1] > 8:
        assert not np.array_equal(expected, before), "nothing happens in the case"
    assert relative_error(engine, expected) <= BOUNDS[precision][0]
    rgb = engine.rgb()
    assert rgb.shape == (*case[:2], 3)
    assert rgb.dtype == np.float32
    visible = np.clip(expected[:3].transpose(1, 2, 0) + 0.5, 0, 1)
    assert np.abs(rgb - visible).max() <= 3 * BOUNDS[precision][0]


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize(("case", "edge"), LONG_CASES, ids=str)
def test_64_steps(
    make_ruleset: Make,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[Any, ...],
    edge: Edge,
    precision: Precision,
) -> None:
    if DEVICE == "cpu":  # the interpreter's time goes by tiles, not by cells
        for tiles in (triton_gpu.TILES, triton_gpu.EXACT_TILES):
            monkeypatch.setitem(tiles, 16, (8, 16, 32))
    ruleset, inputs = make_case(make_ruleset, case)
    engine = start(ruleset, *case[:2], seed=11, edge=edge, precision=precision)
    engine.step(inputs, 64)
    expected = exact(ruleset, inputs, 64, edge, 11)
    assert np.abs(expected).max() > 0.01, "nothing happens in the case"
    assert relative_error(engine, expected) <= BOUNDS[precision][1]


@pytest.mark.parametrize("precision", BOUNDS)
def test_the_preset(precision: Precision) -> None:
    """The rule set that the precisions were chosen with, from grey to texture."""
    ruleset = open_ruleset("elements")
    inputs = np.zeros((len(ruleset.inputs), 6, 8), np.float32)
    inputs[0, :, :4], inputs[1, :, 4:], inputs[-1] = 1, 1, 0.4
    engine = start(ruleset, 6, 8, seed=3, precision=precision)
    engine.step(inputs, 24)
    expected = exact(ruleset, inputs, 24, "reflect", 3)
    assert np.abs(expected).max() > 0.3
    assert relative_error(engine, expected) <= BOUNDS[precision][1]


def restless(make_ruleset: Make, fire_rate: float) -> RuleSet:
    """Return a rule set whose cells add 1 to every channel whenever they fire."""
    source = make_ruleset(2)
    w1, b1 = np.zeros_like(source.w1), np.ones_like(source.b1)
    w2 = np.full_like(source.w2, 1 / source.hidden)
    return RuleSet("restless", source.rules, source.inputs, fire_rate, w1, b1, w2)


@pytest.mark.parametrize("fire_rate", [0.3, 0.5, 1.0])
@pytest.mark.parametrize(
    ("seed", "step"),
    [(0, 0), (7, 2**31 - 1), (2**31 + 5, 2**31), (2**32 - 1, 2**32 - 1), (2**40 + 3, 2**33 + 9)],
)
def test_the_same_cells_fire(make_ruleset: Make, seed: int, step: int, fire_rate: float) -> None:
    engine = start(restless(make_ruleset, fire_rate), 9, 19, seed=seed)
    engine.restore(Snapshot(np.zeros((4, 9, 19), np.float32), step))
    engine.step(np.zeros((3, 9, 19), np.float32), 2)
    masks = [fire_mask(seed, n, 9, 19, fire_rate) for n in (step, step + 1)]
    fired = masks[0].astype(np.float32) + masks[1]
    assert np.array_equal(engine.snapshot().state, np.broadcast_to(fired, (4, 9, 19)))


def test_the_fire_rate_is_exact(make_ruleset: Make) -> None:
    """A cell whose hash is the threshold stays; one more of 2**32, and it fires."""
    words = (np.array(word, np.uint32) for word in (5, 0, 2, 3))
    hashed = int(pcg4d(*words))
    for limit in (hashed, hashed + 1):
        engine = start(restless(make_ruleset, limit / 2**32), 4, 5, seed=5)
        engine.step(np.zeros((3, 4, 5), np.float32), 1)
        assert engine.snapshot().state[0, 2, 3] == limit - hashed


@pytest.mark.parametrize("precision", ["mixed", "half"])
@pytest.mark.parametrize("size", [(9, 10), (1, 6), (1, 1)], ids=str)
def test_restore_goes_on_bit_for_bit(
    make_ruleset: Make, size: tuple[int, int], precision: Precision
) -> None:
    ruleset = make_ruleset(8, channels=7, hidden=24)
    inputs, later = (random_inputs(ruleset, *size, i) for i in range(2))
    first = start(ruleset, *size, seed=5, precision=precision)
    first.step(inputs, 3)
    kept = first.snapshot()
    before = kept.state.copy()
    first.step(later, 4)
    assert np.array_equal(kept.state, before), "a snapshot must not change with its engine"
    fresh = start(ruleset, *size, seed=5, precision=precision)
    fresh.step(later, 1)  # whatever it did before must leave no trace
    fresh.restore(kept)
    assert np.array_equal(fresh.snapshot().state, before)
    fresh.step(later, 4)
    assert np.array_equal(kept.state, before), "restoring must not tie the snapshot to the engine"
    assert fresh.steps_taken == 7
    assert np.array_equal(fresh.snapshot().state, first.snapshot().state)
    assert np.array_equal(fresh.rgb(), first.rgb())
    on_device = fresh.state_tensor().permute(2, 0, 1).cpu().numpy()
    assert np.array_equal(on_device, fresh.snapshot().state)


def test_recorded_calls_are_the_same_steps(
    make_ruleset: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An odd number of steps ends in the other buffer, so it is recorded from either side."""
    recorded = []
    record = TritonEngine._record
    monkeypatch.setattr(
        TritonEngine, "_record", lambda self, take: (recorded.append(1), record(self, take))[1]
    )
    ruleset = make_ruleset(10)
    plain, graphs = (start(ruleset, 7, 9, graphs=flag) for flag in (False, True))
    for frame in range(7):
        inputs = random_inputs(ruleset, 7, 9, frame)
        for engine in (plain, graphs):
            engine.step(inputs, 3)
            if frame == 2:
                engine.restore(engine.snapshot())
            engine.step(inputs, 0)
        assert np.array_equal(plain.snapshot().state, graphs.snapshot().state)
    assert plain.steps_taken == graphs.steps_taken == 21
    assert len(recorded) == 2
    many = start(ruleset, 7, 9)
    for frame in range(7):
        for steps in (1, 2):
            many.step(random_inputs(ruleset, 7, 9, frame), steps)
    assert np.array_equal(many.snapshot().state, plain.snapshot().state)


def test_starts_grey_and_changes_nothing_it_was_given(make_ruleset: Make) -> None:
    starts_grey_and_changes_nothing(make_ruleset(13, scale=30), start, 3)


def test_takes_inputs_on_its_device(make_ruleset: Make) -> None:
    takes_inputs_on_its_device(make_ruleset(15), start, DEVICE)


def test_takes_inputs_in_any_memory_order_but_one_shape(make_ruleset: Make) -> None:
    ruleset = make_ruleset(14)
    inputs, engine = random_inputs(ruleset, 6, 8), start(ruleset, 6, 8)
    pictures = of_any_memory_order(ruleset, start, 2)
    assert np.array_equal(pictures[1], pictures[0])
    assert np.array_equal(pictures[2], pictures[0])
    for wrong in (inputs[:1], inputs[:, :1], inputs[:, :, :4]):
        with pytest.raises(ValueError, match="inputs"):
            engine.step(wrong, 1)
    with pytest.raises(ValueError, match="state"):
        engine.restore(Snapshot(np.zeros((4, 6, 1), np.float32), 3))


def test_a_snapshot_moves_to_another_engine(make_ruleset: Make) -> None:
    ruleset = make_ruleset(9)
    inputs = random_inputs(ruleset, 7, 8)
    first = start(ruleset, 7, 8, seed=1, precision="exact")
    second = engines.start("torch", ruleset, 7, 8, seed=1, device=DEVICE)
    first.step(inputs, 6)
    second.restore(first.snapshot())
    for engine in (first, second):
        engine.step(inputs, 6)
    np.testing.assert_allclose(first.snapshot().state, second.snapshot().state, atol=1e-5)


def test_too_large_a_grid_or_weight_is_one_sentence(make_ruleset: Make) -> None:
    with pytest.raises(UserError, match="too large"):
        start(make_ruleset(), 2**16, 2**15)
    ruleset = make_ruleset()
    ruleset.w1[0, 0] = 1e5
    with pytest.raises(UserError, match="too large"):
        start(ruleset, 2, 2)
    start(ruleset, 2, 2, precision="exact")


@pytest.mark.parametrize("missing", ["card", "triton"])
def test_without_a_card_or_triton_it_says_what_to_use(
    make_ruleset: Make, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delitem(sys.modules, KERNEL, raising=False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    if missing == "triton":
        monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(UserError, match="the triton engine needs") as caught:
        start(make_ruleset(), 4, 4, device="cpu")
    assert "--engine auto" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_asked_for_by_name_where_there_is_no_card(
    make_ruleset: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="the triton engine needs a CUDA device"):
        engines.start("triton", make_ruleset(), 4, 4)
    with pytest.raises(UserError, match="does not run on cpu"):
        engines.start("triton", make_ruleset(), 4, 4, device="cpu")


def test_passes_the_check_that_every_engine_must(make_ruleset: Make) -> None:
    for precision, bound in (("exact", 1e-6), ("mixed", 1e-3), ("half", 2e-3)):
        engine = start(
            make_ruleset(4), check.HEIGHT, check.WIDTH, seed=check.SEED, precision=precision
        )
        assert check.difference(engine) < bound < engines.TOLERANCE


COMPILE = """
import json, sys
from gpu_static import build
from ncavideo.nca.engines.triton_gpu import make_plan

for capability, shape, precision in json.loads(sys.argv[1]):
    built = build(make_plan(*shape, precision, hopper=capability == 90), capability)
    print(json.dumps([built.metadata.shared, "wgmma" in built.asm["ptx"], len(built.asm["cubin"])]))
"""


def test_compiles_for_cards(tmp_path: Path) -> None:
    """The interpreter takes what the compiler refuses, so it is compiled too; no GPU is needed.

    Shared memory must fit the GPU: 163 KiB on compute capability 8.0, 227 KiB on 9.0.
    """
    preset, wide = (12, 5, 96), (256, 256, 4096)
    cases = [(90, preset, name) for name in BOUNDS]
    cases += [
        (80, preset, "mixed"),
        (80, wide, "half"),
        (90, wide, "mixed"),
        (90, (3, 1, 1), "half"),
    ]
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    benchmarks = str(Path(__file__).parents[2] / "benchmarks")
    env["PYTHONPATH"] = os.pathsep.join([benchmarks, *sys.path])
    env["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, json.dumps(cases)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    built = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(built) == len(cases)
    for (capability, shape, precision), (shared, uses_wgmma, size) in zip(
        cases, built, strict=True
    ):
        assert size > 0
        assert shared <= {80: 163, 90: 227}[capability] * 1024
        if capability == 90 and shape == preset:
            assert uses_wgmma == (precision != "exact"), "half products belong on tensor cores"


def test_plans_hold_every_network() -> None:
    for channels, inputs, hidden in [(3, 1, 1), (12, 5, 96), (16, 16, 128), (17, 200, 4096)]:
        for precision in BOUNDS:
            constants = make_plan(channels, inputs, hidden, precision).constants
            assert channels <= constants["CS"] <= constants["CB"]
            assert inputs <= constants["IS"] <= constants["IB"]
            assert hidden <= constants["HB"] * constants["BLOCKS"] < hidden + constants["HB"]
            assert constants["TILE_ROWS"] * constants["TILE_COLUMNS"] >= 16
