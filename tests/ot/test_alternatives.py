"""What all alternatives to the barycenter promise: known answers, a cost that is true, equivariance, wrong input."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from wmdd.errors import ConfigError, DataError
from wmdd.ot import (
    Barycenter,
    Problem,
    class_mean,
    entropic_barycenter,
    kmeans,
    mmd_linear,
    mmd_rbf,
    sliced_barycenter,
    wasserstein2,
)

Array = NDArray[np.float64]
Solver = Callable[..., Barycenter]
EQUAL: tuple[Solver, ...] = (sliced_barycenter, entropic_barycenter, mmd_linear, mmd_rbf, class_mean)
ALL: tuple[Solver, ...] = (*EQUAL, kmeans)
every = pytest.mark.parametrize("solve", ALL, ids=lambda solve: solve.__name__)


def solved(
    solve: Solver, points: Any, num_atoms: int, *, start: Any = "kmeans++", seed: int = 0, **settings: Any
) -> Any:
    """Return what the solver makes of the problem."""
    return solve(Problem.of(points, num_atoms, start=start, seed=seed), **settings)


def clusters(seed: int = 0, *, num: int = 5, points: int = 90, features: int = 6, spread: float = 4.0) -> Array:
    """Return points in clusters of unequal size."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(num, features)) * spread
    owner = draw.choice(num, points, p=draw.dirichlet(np.full(num, 2.0)))
    return centres[owner] + draw.normal(size=(points, features))


# --- known answers ---------------------------------------------------------------------------------------------------


@every
def test_one_atom_is_the_mean_of_a_symmetric_cloud(solve: Solver) -> None:
    half = np.random.default_rng(0).normal(size=(30, 6))
    points = np.vstack([half, -half]) + 3.0  # one mode, at the mean: where the kernels too have their best atom
    found = solved(solve, points, 1)
    np.testing.assert_allclose(found.atoms[0], points.mean(axis=0), atol=1e-7)
    assert found.cost == pytest.approx(points.var(axis=0).sum())
    assert found.converged


@pytest.mark.parametrize("solve", [sliced_barycenter, mmd_rbf, kmeans])
def test_as_many_atoms_as_points_cost_nothing(solve: Solver) -> None:
    points = clusters(points=12)
    found = solved(solve, points, 12)
    assert found.cost == pytest.approx(0.0, abs=1e-9)
    assert found.converged


def test_every_atom_is_the_mean() -> None:
    points = clusters()
    found = class_mean(Problem.of(points, 4))
    np.testing.assert_allclose(found.atoms, np.tile(points.mean(axis=0), (4, 1)), atol=1e-12)
    assert found.cost == pytest.approx(points.var(axis=0).sum())
    assert found.converged


@pytest.mark.parametrize("seed", range(3))
def test_kmeans_is_scikit_learns(seed: int) -> None:
    points = clusters(seed)
    start = points[np.random.default_rng(seed).choice(len(points), 6, replace=False)]
    exactly: Any = {"init": start, "n_init": 1, "max_iter": 300, "tol": 0.0, "algorithm": "lloyd"}
    oracle: Any = KMeans(6, **exactly).fit(points)
    found = kmeans(Problem.of(points, 6, start=start))
    np.testing.assert_allclose(found.atoms, oracle.cluster_centers_, atol=1e-9)
    np.testing.assert_allclose(found.weights, np.bincount(oracle.labels_, minlength=6) / len(points))
    assert found.converged


# --- promises --------------------------------------------------------------------------------------------------------


@every
@given(seed=st.integers(0, 10_000), num_atoms=st.integers(1, 6), spread=st.sampled_from([0.0, 1.0, 6.0]))
@settings(max_examples=8, deadline=None)
def test_the_record_is_true(solve: Solver, seed: int, num_atoms: int, spread: float) -> None:
    points = clusters(seed, num=3, points=20, features=2, spread=spread)
    start = np.random.default_rng(seed).normal(size=(num_atoms, 2)) if seed % 2 else "kmeans++"
    found = solved(solve, points, num_atoms, iterations=4, start=start, seed=seed)
    assert found.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert found.weights.min() >= 0
    assert found.atoms.dtype == found.weights.dtype == np.float64
    assert 1 <= len(found.trace) <= 4
    assert found.cost == found.trace[-1]
    assert wasserstein2(found.atoms, points, found.weights).value == pytest.approx(found.cost, rel=1e-9, abs=1e-12)
    if solve is not kmeans:
        np.testing.assert_array_equal(found.weights, np.full(num_atoms, 1 / num_atoms))


@every
def test_the_trace_of_fewer_iterations_is_the_beginning_of_the_longer(solve: Solver) -> None:
    points = clusters(1)
    short, long = solved(solve, points, 5, iterations=2), solved(solve, points, 5, iterations=6)
    assert long.trace[:2] == short.trace
    assert short.cost == short.trace[-1]


@every
def test_the_same_call_gives_the_same_bits_and_seeds_differ(solve: Solver) -> None:
    points = clusters(2)
    first, again, other = (solved(solve, points, 7, seed=seed) for seed in (1, 1, 2))
    assert first.atoms.tobytes() == again.atoms.tobytes()
    assert first.trace == again.trace
    assert (first.atoms.tobytes() == other.atoms.tobytes()) == (solve is class_mean)


# --- equivariance ----------------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0.0), (1e6, 0.0), (2.0, 1e3)])
def test_shift_and_scale_carry_over(solve: Solver, scale: float, shift: float) -> None:
    points = clusters(3)
    plain, moved = (solved(solve, cloud, 5, iterations=40) for cloud in (points, points * scale + shift))
    np.testing.assert_allclose((moved.atoms - shift) / scale, plain.atoms, atol=1e-5)
    assert moved.cost == pytest.approx(plain.cost * scale**2, rel=1e-6)


@every
def test_the_order_of_points_and_of_starting_atoms_does_not_matter(solve: Solver) -> None:
    points = clusters(4)
    start, draw = points[:5] + 0.1, np.random.default_rng(0)
    plain = solved(solve, points, 5, start=start, iterations=40)
    order = draw.permutation(5)
    mixed = solved(solve, points[draw.permutation(len(points))], 5, start=start[order], iterations=40)
    np.testing.assert_allclose(mixed.atoms, plain.atoms[order], atol=1e-5)
    assert mixed.cost == pytest.approx(plain.cost, rel=1e-6)


@every
def test_tensors_are_accepted(solve: Solver) -> None:
    points = clusters(6).astype(np.float32)
    array, tensor = solved(solve, points, 4), solved(solve, torch.from_numpy(points).requires_grad_(), 4)
    np.testing.assert_array_equal(array.atoms, tensor.atoms)


# --- wrong input -----------------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (DataError, {"points": np.array([[0.0], [np.nan]])}, "NaN or infinity in 1 of 2 rows, first in row 1"),
        (DataError, {"num_atoms": 4}, "got 4 atoms for 3 points"),
        (DataError, {"num_atoms": 0}, "got 0 atoms"),
        (ConfigError, {"iterations": 0}, "iterations must be >= 1"),
        (ConfigError, {"start": "noise"}, "unknown start"),
        (ConfigError, {"start": np.ones((3, 2))}, r"got shape \(3, 2\); give \(2, 2\)"),
    ],
)
def test_wrong_input_is_one_line(solve: Solver, kind: type[Exception], arguments: dict[str, Any], message: str) -> None:
    given_arguments: dict[str, Any] = {"points": np.arange(6.0).reshape(3, 2), "num_atoms": 2} | arguments
    with pytest.raises(kind, match=message) as caught:
        solved(solve, **given_arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("solve", "arguments", "message"),
    [
        (sliced_barycenter, {"directions": 0}, "directions must be >= 1; got 0"),
        (entropic_barycenter, {"epsilon": 0.0}, "epsilon must be positive and tolerance between 0 and 1; got 0.0"),
        (entropic_barycenter, {"epsilon": np.nan}, "epsilon must be positive"),
        (entropic_barycenter, {"tolerance": 1.0}, "tolerance between 0 and 1; got 0.05 and 1.0"),
    ],
)
def test_settings_out_of_range_are_one_line(solve: Solver, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        solved(solve, np.arange(6.0).reshape(3, 2), 2, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("solve", [sliced_barycenter, entropic_barycenter, mmd_linear, mmd_rbf, class_mean])
def test_several_measures_are_refused(solve: Solver) -> None:
    with pytest.raises(ConfigError, match="takes one measure; got 2"):
        solved(solve, [np.eye(3), np.eye(3)], 2)


def test_kernels_need_a_width() -> None:
    points = np.zeros((5, 2))
    points[4] = 1.0
    with pytest.raises(DataError, match="got 0, because most pairs coincide; remove duplicates") as caught:
        mmd_rbf(Problem.of(points, 2))
    assert "\n" not in str(caught.value)
    assert mmd_rbf(Problem.of(points[3:4], 1)).cost == 0.0
