"""Many steps at once are the same steps, and their gradient is autograd's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ncavideo.nca.fire_mask import fire_mask_torch
from ncavideo.nca.model import NCA, Edge
from ncavideo.training import unroll_kernel
from ncavideo.training.unroll import Firing, unroll
from ncavideo.training.unroll_gpu import kept_bytes, unroll_on_device

pytestmark = pytest.mark.train


def make(channels: int, inputs: int, hidden: int, size: tuple[int, int], batch: int) -> tuple:
    torch.manual_seed(5)
    nca = NCA(channels, inputs, hidden)
    with torch.no_grad():
        nca.update.w2.normal_(0, 0.1)
        nca.update.b1.normal_(0, 0.1)
    state = torch.randn(batch, channels, *size) * 0.5
    return nca, state, torch.randn(batch, inputs, *size)


def by_autograd(
    nca: NCA, state: torch.Tensor, inputs: torch.Tensor, steps: int, firing: Firing, edge: Edge
) -> torch.Tensor:
    batch, _, height, width = state.shape
    for step in range(firing.first_step, firing.first_step + steps):
        mask = fire_mask_torch(firing.seed, step, batch * height, width, firing.rate, "cpu")
        state = nca(state, inputs, mask.view(batch, 1, height, width), edge)
    return state


@settings(deadline=None, max_examples=25)
@given(
    channels=st.integers(3, 9),
    extra=st.integers(0, 3),
    height=st.integers(1, 9),
    width=st.integers(1, 20),
    batch=st.integers(1, 3),
    steps=st.integers(0, 4),
    edge=st.sampled_from(["wrap", "reflect"]),
    rate=st.sampled_from([0.0, 0.5, 1.0]),
    threads=st.integers(1, 2),
)
def test_steps_and_gradients_are_autograds(
    channels: int, extra: int, height: int, width: int, batch: int, steps: int, edge: Edge,
    rate: float, threads: int,
) -> None:  # fmt: skip
    firing = Firing(2**32 + 3, 2**32 - 2, rate)
    wanted: list[torch.Tensor] = []
    found: list[torch.Tensor] = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for way, results in ((by_autograd, wanted), (unroll, found)):
            nca, state, inputs = make(channels, extra, 10, (height, width), batch)
            state.requires_grad_()
            after = way(nca, state, inputs, steps, firing, edge)
            torch.manual_seed(9)
            (after * torch.randn(after.shape)).sum().backward()
            gradients = [state.grad, *(p.grad for p in nca.parameters())]
            results += [after, *(torch.zeros(0) if g is None else g for g in gradients)]
    finally:
        torch.set_num_threads(before)
    for ours, theirs in zip(found, wanted, strict=True):
        if len(theirs) == 0:  # no step, or none that fires: autograd says none, or zero
            assert not ours.any()
        else:
            torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("edge", ["wrap", "reflect"])
def test_half_precision_points_the_same_way(edge: Edge) -> None:
    gradients = []
    for dtype in (None, torch.bfloat16):
        nca, state, inputs = make(12, 3, 64, (24, 24), 2)
        after = unroll(nca, state, inputs, 12, Firing(1, 0, 0.5), edge, dtype)
        after[:, :3].square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in nca.parameters()]))
    exact, rounded = gradients
    assert torch.nn.functional.cosine_similarity(exact, rounded, dim=0) > 0.999


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_was_not_finite_is_forgotten(dtype: torch.dtype) -> None:
    results = []
    for number in (0.0, float("nan"), float("inf"), 0.0):
        nca, state, inputs = make(6, 2, 16, (9, 11), 2)
        after = unroll(nca, state + number, inputs, 3, Firing(1, 0, 0.5), "wrap", dtype)
        after.sum().backward()
        gradients = torch.cat([p.grad.flatten() for p in nca.parameters()])
        assert bool(gradients.isfinite().all()) == (number == 0)
        results.append(gradients)
    assert torch.equal(results[0], results[-1])


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40))
def test_numbers_are_rounded_as_torch_rounds_them(bits: list[int]) -> None:
    numbers = np.array(bits, np.uint32)
    kept = np.zeros(len(bits), np.uint16)
    unroll_kernel.keep(numbers, 0, len(bits), kept, unroll_kernel.BFLOAT16)
    ours = torch.from_numpy(kept.view(np.int16)).view(torch.bfloat16)
    theirs = torch.from_numpy(numbers.view(np.float32)).bfloat16()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
    unroll_kernel.rectify(kept, unroll_kernel.BFLOAT16)
    torch.testing.assert_close(ours, theirs.relu(), rtol=0, atol=0, equal_nan=True)


def test_a_sample_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    nca, state, inputs = make(5, 2, 16, (8, 8), 3)
    together = unroll(nca, state, inputs, 6, Firing(1, 4, 0.5), "wrap")
    first = unroll(nca, state[:1], inputs[:1], 6, Firing(1, 4, 0.5), "wrap")
    assert torch.equal(together[:1], first)


def kept(way: Callable[[], torch.Tensor]) -> tuple[int, torch.Tensor]:
    """Return how many bytes autograd keeps for the backward pass of what `way` computes."""
    storages: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = way()
    return sum(storages.values()), result


@pytest.mark.parametrize("steps", [1, 7, 25])
def test_steps_in_pieces_are_the_same_for_less_memory(steps: int) -> None:
    firing, results, bytes_kept = Firing(3, 2**32 - 2, 0.5), [], []
    for most in (1 << 40, 0):
        nca, state, inputs = make(12, 5, 96, (24, 20), 2)
        state.requires_grad_()
        count, after = kept(
            lambda nca=nca, state=state, inputs=inputs, most=most: unroll_on_device(
                nca, state, inputs, steps, firing, "reflect", None, most
            )
        )
        after[:, :3].square().sum().backward()
        results.append([after, state.grad, *(p.grad for p in nca.parameters())])
        bytes_kept.append(count)
    assert all(torch.equal(whole, pieces) for whole, pieces in zip(*results, strict=True))
    plain = by_autograd(*make(12, 5, 96, (24, 20), 2), steps, firing, "reflect")
    assert torch.equal(results[0][0], plain)
    estimate = kept_bytes(*make(12, 5, 96, (24, 20), 2)[:2], steps)
    assert 0.7 < bytes_kept[0] / estimate < 1.3
    if steps > 1:
        assert bytes_kept[1] < 0.1 * bytes_kept[0]
