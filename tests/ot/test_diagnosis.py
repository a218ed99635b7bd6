"""Yardsticks and bounds: known answers, torch's cross-entropy as the oracle, and the inequality on drawn data."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wmdd.ot import (
    Affine,
    Problem,
    affine_gap,
    affine_lipschitz,
    cross_entropy_gap,
    cross_entropy_lipschitz,
    diagnosis,
    kmeans,
    random_cost,
    wasserstein1,
    wasserstein2,
)

Array = NDArray[np.float64]


def drawn(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    return scale * np.random.default_rng(seed).normal(size=shape)


def drawn_map(outputs: int = 5, features: int = 4, *, seed: int = 1, scale: float = 1.0) -> Affine:
    rng = np.random.default_rng(seed)
    return Affine(matrix=scale * rng.normal(size=(outputs, features)), offset=rng.normal(size=outputs))


def simplex(count: int, seed: int = 2) -> Array:
    weights = np.random.default_rng(seed).random(count)
    return weights / weights.sum()


def test_one_of_two_points_costs_half_their_squared_distance() -> None:
    mean, std = random_cost(np.array([[0.0, 0.0], [3.0, 4.0]]), 1, np.random.default_rng(0))
    assert mean == pytest.approx(12.5)
    assert std == pytest.approx(0.0, abs=1e-12)


def test_all_points_cost_nothing() -> None:
    assert random_cost(drawn(9, 3), 9, np.random.default_rng(0), draws=2) == pytest.approx((0.0, 0.0), abs=1e-12)


def test_random_picks_are_the_mean_and_deviation_of_their_draws() -> None:
    points = drawn(20, 3)
    rng = np.random.default_rng(4)
    costs = [wasserstein2(points[rng.choice(20, 4, replace=False)], points).value for _ in range(6)]
    found = random_cost(points, 4, np.random.default_rng(4), draws=6)
    assert found == pytest.approx((np.mean(costs), np.std(costs, ddof=1)))
    assert found[0] > kmeans(Problem.of(points, 4)).cost


def test_constants_of_a_known_map() -> None:
    affine = Affine(matrix=np.array([[3.0, 0.0], [0.0, -2.0], [0.0, 0.0]]), offset=np.zeros(3))
    assert affine_lipschitz(affine) == pytest.approx(3.0)
    assert [cross_entropy_lipschitz(affine, label) for label in range(3)] == pytest.approx([13**0.5, 13**0.5, 3.0])


def test_a_shift_along_the_steepest_direction_meets_the_bound_of_the_map() -> None:
    affine, points = drawn_map(), drawn(30, 4)
    direction = np.linalg.svd(affine.matrix)[2][0]
    shifted, equal = points + 0.7 * direction, np.full(30, 1 / 30)
    distance = wasserstein1(shifted, points).value
    assert distance == pytest.approx(0.7)
    assert affine_gap(affine, shifted, points, equal) == pytest.approx(affine_lipschitz(affine) * distance)


def test_far_on_the_wrong_side_cross_entropy_meets_its_bound() -> None:
    affine = Affine(matrix=np.array([[1.0, 0.0], [-1.0, 0.0]]), offset=np.zeros(2))
    points = np.array([[-50.0, 0.0]])
    shifted = points - [[2.0, 0.0]]
    assert cross_entropy_lipschitz(affine, 0) == 2.0
    assert cross_entropy_gap(affine, 0, shifted, points, np.ones(1)) == pytest.approx(4.0)


def test_cross_entropy_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_TABLE", 17)  # blocks of three points
    affine, few, many, weights = drawn_map(scale=30.0), drawn(4, 4), drawn(11, 4, seed=5), simplex(4)

    def losses(points: Array) -> Array:
        logits = torch.from_numpy(points @ affine.matrix.T + affine.offset)
        return torch.nn.functional.cross_entropy(logits, torch.full((len(points),), 3), reduction="none").numpy()

    expected = abs(weights @ losses(few) - losses(many).mean())
    assert cross_entropy_gap(affine, 3, few, many, weights) == pytest.approx(expected)


def test_no_gradient_of_the_loss_is_longer_than_its_constant() -> None:
    affine = drawn_map(scale=3.0)
    points = torch.from_numpy(drawn(200, 4, scale=2.0)).requires_grad_()
    logits = points @ torch.from_numpy(affine.matrix).T + torch.from_numpy(affine.offset)
    for label in range(5):
        loss = torch.nn.functional.cross_entropy(logits, torch.full((200,), label), reduction="sum")
        (slopes,) = torch.autograd.grad(loss, points, retain_graph=True)
        steepest = float(slopes.norm(dim=1).max())
        assert 0.5 * cross_entropy_lipschitz(affine, label) < steepest <= cross_entropy_lipschitz(affine, label)


def test_the_class_itself_has_no_gap() -> None:
    affine, points = drawn_map(), drawn(12, 4)
    order = np.random.default_rng(3).permutation(12)
    equal = np.full(12, 1 / 12)
    assert affine_gap(affine, points[order], points, equal) == pytest.approx(0.0, abs=1e-12)
    assert cross_entropy_gap(affine, 1, points[order], points, equal) == pytest.approx(0.0, abs=1e-12)


@given(
    num_atoms=st.integers(1, 6),
    features=st.integers(1, 5),
    outputs=st.integers(2, 6),
    spread=st.sampled_from([1e-3, 1.0, 30.0]),
    steepness=st.sampled_from([1e-2, 1.0, 20.0]),
    seed=st.integers(0, 10_000),
)
def test_gaps_stay_below_their_bounds(
    num_atoms: int, features: int, outputs: int, spread: float, steepness: float, seed: int
) -> None:
    affine = drawn_map(outputs, features, seed=seed, scale=steepness)
    points = drawn(15, features, seed=seed, scale=spread)
    atoms, weights = drawn(num_atoms, features, seed=seed + 1, scale=2 * spread) + 1.0, simplex(num_atoms, seed)
    distance = wasserstein1(atoms, points, weights).value
    slack = 1.0 + 1e-9
    assert affine_gap(affine, atoms, points, weights) <= slack * affine_lipschitz(affine) * distance
    for label in range(outputs):
        bound = cross_entropy_lipschitz(affine, label) * distance
        assert cross_entropy_gap(affine, label, atoms, points, weights) <= slack * bound
