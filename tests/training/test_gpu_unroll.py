"""The fused kernels' steps and gradients are those of float64 autograd through the model."""

from __future__ import annotations

import pytest
import torch

from ncavideo.nca.fire_mask import fire_mask_torch
from ncavideo.nca.model import NCA, Edge
from ncavideo.training.unroll import Firing

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

# Batch, height, width, channels, inputs, hidden, steps, edge. Tiles are 8 x 8 cells.
CASES: list[tuple[int, int, int, int, int, int, int, Edge]] = [
    (1, 9, 11, 12, 5, 96, 2, "wrap"),
    (2, 9, 5, 12, 5, 96, 3, "reflect"),
    (1, 1, 1, 3, 1, 20, 1, "reflect"),
    (1, 1, 1, 3, 1, 20, 2, "wrap"),
    (1, 1, 3, 5, 2, 20, 7, "reflect"),
    (1, 3, 1, 5, 2, 20, 3, "wrap"),
    (3, 8, 8, 4, 0, 33, 1, "wrap"),
    (2, 2, 2, 7, 3, 64, 5, "reflect"),
    (2, 5, 7, 16, 15, 130, 2, "wrap"),
    (1, 5, 7, 17, 16, 40, 2, "reflect"),
]


def exact(
    nca: NCA, state: torch.Tensor, inputs: torch.Tensor, steps: int, firing: Firing, edge: Edge
) -> torch.Tensor:
    """Take the steps with the model itself."""
    batch, _, height, width = state.shape
    for step in range(firing.first_step, firing.first_step + steps):
        mask = fire_mask_torch(
            firing.seed, step, batch * height, width, firing.rate, state.device
        ).view(batch, 1, height, width)
        state = nca(state, inputs, mask.to(state.dtype), edge)
    return state


def network(channels: int, inputs: int, hidden: int, device: torch.device) -> NCA:
    nca = NCA(channels, inputs, hidden)
    with torch.no_grad():
        nca.update.w2.normal_(0, 0.3 / hidden**0.5)
        nca.update.b1.normal_(0, 0.1)
    return nca.to(device)


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    found, wanted = found.detach().double(), wanted.detach().double()
    return float((found - wanted).norm() / wanted.norm().clamp(min=1e-30))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_steps_and_gradients_are_those_of_double_precision(
    gpu: torch.device, case: tuple[int, int, int, int, int, int, int, Edge]
) -> None:
    from ncavideo.training.gpu.unroll import unroll_fused

    batch, height, width, channels, inputs, hidden, steps, edge = case
    torch.manual_seed(sum(case[:7]))
    nca = network(channels, inputs, hidden, gpu)
    precise = NCA(channels, inputs, hidden).to(gpu).double()
    precise.load_state_dict(nca.state_dict())
    state = torch.randn(batch, channels, height, width, device=gpu) * 0.5
    given = torch.rand(batch, inputs, height, width, device=gpu)
    towards = torch.randn_like(state)
    firing = Firing(2**32 + 7, 2**32 - 3, 0.6)
    results = []
    for way, model, dtype in ((unroll_fused, nca, torch.float32), (exact, precise, torch.float64)):
        begin = state.to(dtype, copy=True).requires_grad_()
        after = way(model, begin, given.to(dtype), steps, firing, edge)
        (after * towards.to(dtype)).sum().backward()
        results.append([after, begin.grad, *(p.grad for p in model.parameters())])
    for found, wanted in zip(*results, strict=True):
        assert found is not None
        assert error(found, wanted) < 1e-6


def test_a_gradient_between_joins_the_last_ones(gpu: torch.device) -> None:
    """A loss of two states of one run needs no second run."""
    from ncavideo.training.gpu.launch import BackBuffers, run_backward, run_forward, words_of
    from ncavideo.training.gpu.unroll import plan_of
    from ncavideo.training.gpu.weights import pack, pack_inputs, unpack

    torch.manual_seed(1)
    nca, firing, steps = network(6, 2, 24, gpu), Firing(3, 5, 0.5), 3
    state = torch.randn(2, 6, 5, 6, device=gpu) * 0.5
    given = torch.rand(2, 2, 5, 6, device=gpu)
    plan = plan_of(nca, (2, 5, 6), "reflect")
    seeds = [torch.randn(2, 5, 6, 6, device=gpu) for _ in range(2)]
    for place in (1, 3):
        states = torch.zeros(steps + 1, 2, 5, 6, 6, device=gpu)
        states[0] = state.permute(0, 2, 3, 1)
        words = torch.tensor(words_of(firing), device=gpu)
        packed, inputs = pack(plan, nca.update), pack_inputs(plan, given)
        run_forward(plan, packed, states, inputs, words, steps)
        buffers, into = BackBuffers(plan, steps, gpu), seeds[1].clone()
        run_backward(
            plan, packed, states, inputs, words, steps, into, buffers, (place, seeds[0])
        )  # fmt: skip
        middle = exact(nca, state, given, place, firing, "reflect")
        after = Firing(3, 5 + place, 0.5)
        last = exact(nca, middle, given, steps - place, after, "reflect")
        ends = [s.permute(0, 3, 1, 2) for s in seeds]
        wanted = torch.autograd.grad([middle, last], list(nca.parameters()), ends)
        for ours, theirs in zip(unpack(plan, buffers.partial), wanted, strict=True):
            assert error(ours, theirs) < 1e-5


def test_equal_runs_give_equal_bits(gpu: torch.device) -> None:
    from ncavideo.training.gpu.unroll import unroll_fused

    torch.manual_seed(2)
    nca = network(5, 2, 40, gpu)
    state, given = torch.randn(1, 5, 9, 6, device=gpu), torch.rand(1, 2, 9, 6, device=gpu)
    results = []
    for _ in range(2):
        begin = state.clone().requires_grad_()
        nca.zero_grad()
        unroll_fused(nca, begin, given, 2, Firing(1, 2, 0.5), "wrap").square().sum().backward()
        results.append([begin.grad, *(p.grad for p in nca.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_no_step_leaves_the_state(gpu: torch.device) -> None:
    from ncavideo.training.gpu.unroll import unroll_fused

    state = torch.randn(1, 4, 3, 3, device=gpu)
    nca = network(4, 1, 8, gpu)
    after = unroll_fused(nca, state, state[:, :1], 0, Firing(1, 2, 0.5), "wrap")
    assert torch.equal(after, state)
