"""Every engine against the reference in double precision, and what every engine promises."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
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
from ncavideo.nca.engines import ENGINES
from ncavideo.nca.engines.base import Engine, Snapshot
from ncavideo.nca.engines.reference import network
from ncavideo.nca.fire_mask import fire_mask
from ncavideo.nca.model import Edge
from ncavideo.nca.ruleset import RuleSet
from ncavideo.util import device
from ncavideo.util.errors import UserError

Make = Callable[..., RuleSet]
# The triton engine runs on GPUs only, or in an interpreter: it has a file of its own.
NAMES = [name for name, kind in ENGINES.items() if "cpu" in kind.devices]
DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])

# Height, width, channels, hidden, rules, others, fire rate.
CASES = [
    (1, 1, 3, 8, 1, 0, 1.0),
    (1, 9, 4, 8, 2, 1, 0.5),
    (9, 1, 4, 8, 2, 1, 0.5),
    (2, 2, 5, 7, 3, 0, 0.7),
    *(
        pytest.param(case, marks=pytest.mark.slow)
        for case in (
            (13, 17, 12, 96, 4, 1, 0.5),
            (16, 24, 16, 33, 1, 3, 0.25),
            (11, 8, 4, 128, 6, 2, 0.9),
        )
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("edge", ["wrap", "reflect"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_engine_computes_the_step(
    make_ruleset: Make, name: str, edge: Edge, case: tuple[int, ...], device: str
) -> None:
    height, width, channels, hidden, rules, others, fire_rate = case
    ruleset = make_ruleset(
        height * width,
        channels=channels,
        hidden=hidden,
        rules=tuple(f"rule{i}" for i in range(rules)),
        others=tuple(f"other{i}" for i in range(others)),
        fire_rate=fire_rate,
    )
    inputs = random_inputs(ruleset, height, width)
    engine = engines.start(name, ruleset, height, width, seed=11, edge=edge, device=device)
    taken = 0
    for steps, bound in ((1, 2e-6), (64, 2e-5)):
        engine.step(inputs, steps - taken)
        taken = steps
        expected = exact(ruleset, inputs, steps, edge, 11)
        got = engine.snapshot()
        assert got.step == engine.steps_taken == steps
        assert got.state.shape == expected.shape
        assert got.state.dtype == np.float32
        size = np.abs(expected).max()
        assert size < 50, "the case blows up and shows nothing"
        if fire_rate == 1 or height * width > 8:
            assert size > 0.01, "nothing happens in the case"
        assert np.abs(got.state - expected).max() <= bound * max(size, 1e-3)
        rgb = engine.rgb()
        assert rgb.shape == (height, width, 3)
        assert rgb.dtype == np.float32
        visible = np.clip(expected[:3].transpose(1, 2, 0) + 0.5, 0, 1)
        assert np.abs(rgb - visible).max() <= bound * max(size, 1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
def test_inputs_that_change_from_call_to_call(make_ruleset: Make, name: str, device: str) -> None:
    ruleset = make_ruleset(3)
    engine = engines.start(name, ruleset, 6, 7, seed=2, device=device)
    nca = network(ruleset).double()
    state = torch.zeros(1, 4, 6, 7, dtype=torch.float64)
    step = 0
    for frame in range(4):
        inputs = random_inputs(ruleset, 6, 7, frame)
        engine.step(inputs, 3)
        given = torch.from_numpy(inputs)[None].double()
        for _ in range(3):
            mask = torch.from_numpy(fire_mask(2, step, 6, 7, 0.5))[None, None]
            state = nca(state, given, mask, "reflect")
            step += 1
    np.testing.assert_allclose(engine.snapshot().state, state[0].numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(13, 10), (1, 6), (1, 1)], ids=str)
@pytest.mark.parametrize("edge", ["wrap", "reflect"])
def test_restore_goes_on_bit_for_bit(
    make_ruleset: Make, name: str, edge: Edge, size: tuple[int, int], device: str
) -> None:
    ruleset = make_ruleset(8, channels=7, hidden=24)
    inputs, later = (random_inputs(ruleset, *size, i) for i in range(2))

    def begin() -> Engine:
        return engines.start(name, ruleset, *size, seed=5, edge=edge, device=device)

    whole = begin()
    whole.step(inputs, 9)
    whole.step(later, 11)

    first = begin()
    first.step(inputs, 9)
    kept = first.snapshot()
    before = kept.state.copy()
    first.step(later, 11)
    assert np.array_equal(kept.state, before), "a snapshot must not change with its engine"
    assert np.array_equal(first.snapshot().state, whole.snapshot().state)

    fresh = begin()
    fresh.step(later, 3)  # whatever it did before must leave no trace
    fresh.restore(kept)
    assert np.array_equal(fresh.snapshot().state, before)
    fresh.step(later, 11)
    assert np.array_equal(kept.state, before), "restoring must not tie the snapshot to the engine"
    assert fresh.steps_taken == 20
    assert np.array_equal(fresh.snapshot().state, whole.snapshot().state)
    assert np.array_equal(fresh.rgb(), whole.rgb())
    on_device = fresh.state_tensor().permute(2, 0, 1).cpu().numpy()
    assert np.array_equal(on_device, fresh.snapshot().state)


@pytest.mark.parametrize("names", [(a, b) for a in NAMES for b in NAMES if a != b], ids=str)
def test_a_snapshot_moves_between_engines(make_ruleset: Make, names: tuple[str, str]) -> None:
    ruleset = make_ruleset(9)
    inputs = random_inputs(ruleset, 8, 9)
    first, second = (engines.start(n, ruleset, 8, 9, seed=1, device="cpu") for n in names)
    first.step(inputs, 20)
    second.restore(first.snapshot())
    for engine in (first, second):
        engine.step(inputs, 20)
    np.testing.assert_allclose(first.snapshot().state, second.snapshot().state, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_how_steps_are_grouped_does_not_matter(make_ruleset: Make, name: str) -> None:
    ruleset = make_ruleset(10)
    inputs = random_inputs(ruleset, 9, 9)
    one, many = (engines.start(name, ruleset, 9, 9, device="cpu") for _ in range(2))
    one.step(inputs, 12)
    for steps in (1, 0, 5, 6):
        many.step(inputs, steps)
    assert np.array_equal(one.snapshot().state, many.snapshot().state)


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides(make_ruleset: Make, name: str) -> None:
    ruleset = make_ruleset(12)
    inputs = random_inputs(ruleset, 16, 16)
    pictures = []
    for seed in (1, 1, 2, 2**32 - 1):
        engine = engines.start(name, ruleset, 16, 16, seed=seed, device="cpu")
        engine.step(inputs, 16)
        pictures.append(engine.rgb())
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[0], pictures[3])


@pytest.mark.parametrize("name", NAMES)
def test_starts_grey_and_changes_nothing_it_was_given(make_ruleset: Make, name: str) -> None:
    def start(*grid: Any) -> Engine:
        return engines.start(name, *grid, device="cpu")

    starts_grey_and_changes_nothing(make_ruleset(13, scale=30), start, 5)


@pytest.mark.parametrize("name", NAMES)
def test_takes_inputs_in_any_memory_order(make_ruleset: Make, name: str) -> None:
    def start(*grid: Any) -> Engine:
        return engines.start(name, *grid, device="cpu")

    pictures = of_any_memory_order(make_ruleset(14), start, 8)
    for picture in pictures[1:]:
        np.testing.assert_allclose(picture, pictures[0], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_refuses_inputs_and_snapshots_of_another_shape(make_ruleset: Make, name: str) -> None:
    ruleset = make_ruleset(15)
    inputs = random_inputs(ruleset, 6, 8)
    for wrong in (inputs[:1], inputs[:, :1], inputs[:, :, :4]):
        engine = engines.start(name, ruleset, 6, 8, device="cpu")
        with pytest.raises((ValueError, RuntimeError)):
            engine.step(wrong, 1)
    for state in (np.zeros((4, 6, 1), np.float32), np.zeros((4, 3, 3), np.float32)):
        engine = engines.start(name, ruleset, 6, 8, device="cpu")
        with pytest.raises((ValueError, RuntimeError)):
            engine.restore(Snapshot(state, 3))


def test_auto_takes_the_fastest_for_the_device(make_ruleset: Make) -> None:
    engine = engines.start("auto", make_ruleset(), 3, 3, device="cpu")
    assert type(engine).__name__ == "FusedEngine"


@pytest.mark.parametrize("fault", ["raises", "refuses", "wrong", "nan"])
def test_an_engine_that_fails_is_passed_over_with_one_warning(
    make_ruleset: Make,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kind = engines._load("fused")

    class Faulty(kind):  # type: ignore[misc, valid-type]
        def _step(self, inputs: np.ndarray, steps: int) -> None:
            if fault == "raises":
                raise RuntimeError("no such instruction")
            if fault == "refuses":
                raise UserError("the engine fused does not work here at all")
            super()._step(inputs, steps)
            self._grid[0, 1, 0] += np.nan if fault == "nan" else 0.5

    load = engines._load
    monkeypatch.setattr(engines, "_load", lambda name: Faulty if name == "fused" else load(name))
    started = [engines.start("auto", make_ruleset(), 4, 4, device="cpu") for _ in range(3)]
    assert {type(engine).__name__ for engine in started} == {"FoldedEngine"}
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "fused" in warning.getMessage()
    with pytest.raises(UserError, match="the engine fused does not work here") as caught:
        engines.start("fused", make_ruleset(), 4, 4, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
def test_takes_inputs_on_its_device(make_ruleset: Make, name: str, device: str) -> None:
    if device not in ENGINES[name].devices:
        pytest.skip(f"{name} does not run there")
    start = partial(engines.start, name, device=device)
    takes_inputs_on_its_device(make_ruleset(16), start, device)


def test_auto_asks_for_triton_first_on_a_gpu() -> None:
    """And for none of a GPU's engines before the fused one on a processor."""
    for kind, first in (("cuda", "triton"), ("cpu", "fused"), ("mps", "folded")):
        assert next(n for n in ENGINES if engines.by_itself(n, kind)) == first


def test_an_engine_says_what_it_does_not_run_on(make_ruleset: Make) -> None:
    with pytest.raises(UserError, match="triton does not run on cpu: use --device cuda"):
        engines.start("triton", make_ruleset(), 4, 4, device="cpu")
    if torch.cuda.is_available():
        with pytest.raises(UserError, match="--device cpu"):
            engines.start("fused", make_ruleset(), 4, 4, device="cuda")


def test_torch_is_asked_for_a_card_where_a_driver_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AMD's GPUs have no NVIDIA driver, and torch calls them cuda."""
    monkeypatch.setattr(device, "AMD_DRIVER", tmp_path)
    assert device._may_have_gpu()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device.choose_device() == "cuda"


def test_unknown_engine_lists_the_engines(make_ruleset: Make) -> None:
    with pytest.raises(UserError, match="warp") as caught:
        engines.start("warp", make_ruleset(), 4, 4)
    for name in ENGINES:
        assert name in str(caught.value)


@pytest.mark.parametrize("device", ["tpu", "", "cpu:banana", "cuda:99", "cpu,cuda"])
def test_unusable_device_is_one_sentence(make_ruleset: Make, device: str) -> None:
    with pytest.raises(UserError, match="device") as caught:
        engines.start("torch", make_ruleset(), 4, 4, device=device)
    assert "\n" not in str(caught.value)


def test_missing_device_says_what_to_use(make_ruleset: Make) -> None:
    missing = [
        name
        for name, here in {
            "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(),
        }.items()
        if not here
    ]
    for name in missing:
        with pytest.raises(UserError, match="--device cpu"):
            engines.start("torch", make_ruleset(), 4, 4, device=name)
