"""Exact plans: known answers, certificates under fuzzing, and refusal of what cannot be solved."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from wmdd.errors import DataError, NumericsError
from wmdd.ot import Plan, squared_distances, transport, wasserstein2
from wmdd.ot.plan import MAX_GAP

Array = NDArray[np.float64]


def uniform(count: int) -> Array:
    return np.full(count, 1.0 / count)


def pairwise(first: Array, second: Array) -> Array:
    return np.asarray(cdist(first, second, "sqeuclidean"), dtype=np.float64)


def assert_certified(plan: Plan, cost: Array, weights_a: Array, weights_b: Array) -> None:
    scale = max(np.abs(cost).max(), 1e-300)
    np.testing.assert_allclose(plan.plan.sum(axis=1), weights_a, atol=1e-12)
    np.testing.assert_allclose(plan.plan.sum(axis=0), weights_b, atol=1e-12)
    assert plan.plan.min() >= 0
    assert (plan.dual_a[:, None] + plan.dual_b - cost).max() <= 1e-12 * scale
    assert abs(plan.dual_a.mean()) <= 1e-12 * scale
    dual_value = plan.dual_a @ weights_a + plan.dual_b @ weights_b
    assert abs(plan.value - dual_value) <= 1e-12 * scale
    assert plan.gap <= MAX_GAP
    assert plan.infeasibility <= MAX_GAP


@given(
    seed=st.integers(0, 10_000),
    num_atoms=st.integers(1, 7),
    num_points=st.integers(1, 25),
    kind=st.sampled_from(["real", "ties", "duplicates", "same"]),
    zero_mass=st.booleans(),
    exponent=st.integers(-8, 8),
)
@settings(max_examples=150)
def test_every_plan_comes_with_a_proof(
    seed: int, num_atoms: int, num_points: int, kind: str, zero_mass: bool, exponent: int
) -> None:
    draw = np.random.default_rng(seed)
    points = draw.normal(size=(num_points, 3))
    atoms = draw.normal(size=(num_atoms, 3))
    if kind == "ties":
        points, atoms = np.round(points), np.round(atoms)
    elif kind == "duplicates":
        points, atoms = (
            points[draw.integers(0, num_points, num_points)],
            points[draw.integers(0, num_points, num_atoms)],
        )
    elif kind == "same":
        points, atoms = np.zeros_like(points), np.zeros_like(atoms)
    weights = draw.dirichlet(np.ones(num_atoms)) if seed % 2 else uniform(num_atoms)
    if zero_mass and num_atoms > 1:
        weights[0] = 0.0
        weights /= weights.sum()
    cost = squared_distances(atoms, points) * 10.0**exponent
    plan = transport(cost, weights, uniform(num_points))
    assert_certified(plan, cost, weights, uniform(num_points))


def test_equal_sizes_and_weights_are_an_assignment() -> None:
    draw = np.random.default_rng(1)
    first, second = draw.normal(size=(12, 4)), draw.normal(size=(12, 4))
    cost = pairwise(first, second)
    rows, columns = linear_sum_assignment(cost)
    assert wasserstein2(first, second).value == pytest.approx(cost[rows, columns].mean(), rel=1e-12)


def test_a_shift_costs_its_square_and_the_plan_has_the_callers_shape() -> None:
    draw = np.random.default_rng(2)
    points = draw.normal(size=(9, 2))
    moved = wasserstein2(points, points + np.array([3.0, 4.0]))
    assert moved.value == pytest.approx(25.0)
    assert wasserstein2(points[:4], points).plan.shape == (4, 9)
    assert wasserstein2(points, points[:4]).plan.shape == (9, 4)
    np.testing.assert_allclose(wasserstein2(points, points[:4]).value, wasserstein2(points[:4], points).value)


def test_free_weights_are_the_voronoi_shares() -> None:
    draw = np.random.default_rng(3)
    points, atoms = draw.normal(size=(40, 3)), draw.normal(size=(5, 3))
    distances = pairwise(atoms, points)
    shares = np.bincount(distances.argmin(axis=0), minlength=5) / 40
    assert wasserstein2(atoms, points, shares).value == pytest.approx(distances.min(axis=0).mean(), rel=1e-12)


def test_the_dual_is_a_subgradient_in_the_weights_also_where_one_is_zero() -> None:
    draw = np.random.default_rng(4)
    points, atoms = draw.normal(size=(30, 3)), draw.normal(size=(4, 3))
    cost = pairwise(atoms, points)
    weights = np.array([0.0, 0.2, 0.3, 0.5])
    here = transport(cost, weights, uniform(30))
    for _ in range(20):
        other = draw.dirichlet(np.ones(4))
        bound = here.value + here.dual_a @ (other - weights)
        assert transport(cost, other, uniform(30)).value >= bound - 1e-12


def test_tensors_and_arrays_give_the_same_and_weights_are_accepted() -> None:
    points = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    weights = torch.full((8,), 0.125)
    as_tensor = wasserstein2(points[:3], points, weights_b=weights)
    as_array = wasserstein2(points[:3].numpy(), points.numpy())
    assert as_tensor.value == as_array.value
    assert wasserstein2(points.bfloat16(), points.bfloat16()).value == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_cost_that_is_not_finite_is_refused(bad: float) -> None:
    cost = np.ones((2, 3))
    cost[0, 1] = bad
    with pytest.raises(NumericsError, match="must be finite"):
        transport(cost, uniform(2), uniform(3))


def test_a_solver_that_gives_up_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    import ot

    def gives_up(rows: Array, columns: Array, cost: Array, **_: Any) -> tuple[Array, dict[str, Any]]:
        return np.zeros_like(cost), {"warning": "numItermax reached", "u": np.zeros(len(cost))}

    monkeypatch.setattr(ot, "emd", gives_up)
    with pytest.raises(NumericsError, match="numItermax"):
        transport(np.ones((2, 3)), uniform(2), uniform(3))


def test_a_plan_that_is_not_optimal_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    import ot

    def wrong(rows: Array, columns: Array, cost: Array, **_: Any) -> tuple[Array, dict[str, Any]]:
        return np.outer(rows, columns), {"warning": None, "u": np.zeros(len(cost))}

    monkeypatch.setattr(ot, "emd", wrong)
    with pytest.raises(NumericsError, match="not optimal"):
        transport(np.array([[0.0, 1.0], [1.0, 0.0]]), uniform(2), uniform(2))


@pytest.mark.parametrize(
    ("first", "second", "weights", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), None, "as many features"),
        (np.ones(3), np.ones((2, 3)), None, "one point a row"),
        (np.array([[0.0, np.nan]]), np.ones((2, 2)), None, "1 of 1 rows, first in row 0"),
        (np.ones((2, 2)), np.ones((2, 2)), np.array([0.5, 0.6]), "sum to 1"),
        (np.ones((2, 2)), np.ones((2, 2)), np.array([1.5, -0.5]), "not negative"),
        (np.ones((2, 2)), np.ones((2, 2)), np.ones(1), "must be 2 numbers"),
    ],
)
def test_wrong_input_is_one_line(first: Array, second: Array, weights: Array | None, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        wasserstein2(first, second, weights)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_squared_distances_agree_with_scipy_far_from_the_origin(offset: float) -> None:
    draw = np.random.default_rng(5)
    first, second = draw.normal(size=(6, 5)) + offset, draw.normal(size=(5000, 5)) + offset
    second[7] = first[2]
    second[4500] = first[3] + 1e-5
    distances = squared_distances(first, second)
    np.testing.assert_allclose(distances, pairwise(first, second), rtol=1e-7)
    assert distances[2, 7] == 0.0
    assert distances.dtype == np.float64


def test_pot_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, wmdd.ot; sys.exit('ot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
