"""Distances between feature clouds, beside their definitions written out plainly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ncavideo.training.metrics import METRICS, gram, relaxed_transport

pytestmark = pytest.mark.train


def clouds(points: int = 40, features: int = 7, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(2, points, features, generator=generator),
        1 + 0.7 * torch.randn(2, points, features, generator=generator),
        torch.rand(2, points, 3, generator=generator),
    ]


def fixed() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("name", METRICS)
def test_equal_clouds_are_at_no_distance_in_any_order(name: str) -> None:
    ours, theirs, condition = clouds()
    metric = METRICS[name]
    flat = torch.ones_like(condition)
    shuffled = ours[:, torch.randperm(40, generator=fixed())]
    near = metric(ours, shuffled, flat, fixed())
    far = metric(ours, theirs, flat, fixed())
    assert near.shape == (2,)
    assert (near < 1e-4 * far).all()


@pytest.mark.parametrize("name", METRICS)
def test_the_condition_counts(name: str) -> None:
    """The same features in the wrong places are at a distance."""
    ours, _, condition = clouds()
    ours[..., 0] = 3 * condition[..., 0]
    moved = ours.flip(1)
    metric = METRICS[name]
    assert (metric(ours, moved, 2 * condition, fixed()) > 0.01).all()
    assert (metric(ours, ours, 2 * condition, fixed()) < 1e-5).all()


@pytest.mark.parametrize("name", METRICS)
def test_the_gradient_leads_downhill(name: str) -> None:
    ours, theirs, condition = clouds()
    ours.requires_grad_()
    metric = METRICS[name]
    optimiser = torch.optim.Adam([ours], lr=0.05)
    first = metric(ours, theirs, condition, None).sum().item()
    for _ in range(60):
        optimiser.zero_grad()
        loss = metric(ours, theirs, condition, None).sum()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.5 * first


def test_gram_is_the_difference_of_matrices_of_inner_products() -> None:
    ours, theirs, condition = clouds()
    expected = []
    for sample in range(2):
        matrices = []
        for cloud in (ours, theirs):
            joint = np.concatenate([cloud[sample].numpy(), condition[sample].numpy()], 1)
            matrices.append(joint.T @ joint / len(joint))
        expected.append(((matrices[0] - matrices[1]) ** 2).mean())
    np.testing.assert_allclose(gram(ours, theirs, condition, None).numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("features", [3, 7])
def test_relaxed_transport_is_the_worse_of_two_assignments(features: int) -> None:
    ours, theirs, condition = clouds(features=features)
    expected = []
    for sample in range(2):
        a, b, c = (x[sample].double().numpy() for x in (ours, theirs, condition))
        cost = np.empty((len(a), len(b)))
        for i in range(len(a)):
            for j in range(len(b)):
                if features > 3:
                    lengths = np.linalg.norm(a[i]) * np.linalg.norm(b[j])
                    cost[i, j] = 1 - a[i] @ b[j] / lengths
                else:
                    cost[i, j] = ((a[i] - b[j]) ** 2).sum() / features
                cost[i, j] += ((c[i] - c[j]) ** 2).sum() / 4
        transport = max(cost.min(1).mean(), cost.min(0).mean())
        joint = [np.concatenate([x, c], 1) for x in (a, b)]
        means = np.abs(joint[0].mean(0) - joint[1].mean(0)).mean()
        spreads = np.abs(np.cov(joint[0].T, bias=True) - np.cov(joint[1].T, bias=True)).mean()
        expected.append(transport + means + spreads)
    got = relaxed_transport(ours, theirs, condition, None).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_relaxed_transport_looks_at_a_choice_of_many_points() -> None:
    ours, theirs, condition = clouds(points=3000)
    values = [relaxed_transport(ours, theirs, condition, fixed()) for _ in range(2)]
    assert torch.equal(*values)
