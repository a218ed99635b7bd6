"""Barycenters: known answers, POT and scikit-learn as oracles, equivariance, and the promises about cost."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from wmdd.errors import ConfigError, DataError
from wmdd.ot import Barycenter, Problem, barycenter, kmeans, kmeans_plus_plus, wasserstein2
from wmdd.ot.augmenting_paths import Pieces
from wmdd.ot.free_support import Weights, learned_step, project_simplex, reweighted, uniform_step
from wmdd.ot.state import cluster, feed_empty

Array = NDArray[np.float64]
FAMILIES: tuple[Weights, ...] = ("learned", "uniform", "exact")


def clusters(seed: int = 0, *, num: int = 5, points: int = 150, features: int = 8, spread: float = 4.0) -> Array:
    """Return points in clusters of unequal size."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(num, features)) * spread
    owner = draw.choice(num, points, p=draw.dirichlet(np.full(num, 2.0)))
    return centres[owner] + draw.normal(size=(points, features))


def best_kmeans(points: Array, num_atoms: int) -> float:
    oracle: Any = KMeans(num_atoms, n_init=10, random_state=0)  # pyright: ignore[reportArgumentType]
    return oracle.fit(points).inertia_ / len(points)


def assert_consistent(found: Barycenter, points: Array) -> None:
    """The record tells the truth about itself."""
    assert found.weights.min() >= 0
    assert found.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert found.atoms.dtype == found.weights.dtype == np.float64
    assert found.cost == min(found.trace)
    assert wasserstein2(found.atoms, points, found.weights).value == pytest.approx(found.cost, rel=1e-9, abs=1e-12)


# --- known answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", FAMILIES)
def test_one_atom_is_the_mean(weights: Weights) -> None:
    points = clusters()
    found = barycenter(points, 1, weights=weights)
    np.testing.assert_allclose(found.atoms[0], points.mean(axis=0), atol=1e-12)
    np.testing.assert_array_equal(found.weights, [1.0])
    assert found.cost == pytest.approx(points.var(axis=0).sum())
    assert found.converged


@pytest.mark.parametrize("weights", FAMILIES)
def test_as_many_atoms_as_points_cost_nothing(weights: Weights) -> None:
    points = clusters(points=12)
    found = barycenter(points, 12, weights=weights)
    assert found.cost == pytest.approx(0.0, abs=1e-24)
    np.testing.assert_allclose(np.sort(found.atoms, axis=0), np.sort(points, axis=0), atol=1e-12)
    np.testing.assert_allclose(found.weights, 1 / 12)


def test_one_dimension_with_equal_weights_is_the_means_of_equal_slices() -> None:
    values = np.random.default_rng(0).permutation(np.random.default_rng(1).gamma(1.0, size=60))
    found = barycenter(values[:, None], 5, weights="uniform")
    np.testing.assert_allclose(np.sort(found.atoms[:, 0]), np.sort(values).reshape(5, 12).mean(axis=1), atol=1e-12)


@pytest.mark.parametrize("weights", FAMILIES)
def test_fewer_different_points_than_atoms(weights: Weights) -> None:
    points = np.repeat(np.eye(2), 4, axis=0)
    found = barycenter(points, 4, weights=weights)
    assert found.cost == pytest.approx(0.0, abs=1e-24)
    assert_consistent(found, points)


# --- oracles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_uniform_is_not_above_pot(seed: int) -> None:
    from ot.lp import free_support_barycenter

    points = clusters(seed)
    start = points[np.random.default_rng(seed).choice(len(points), 6, replace=False)]
    atoms: Any = free_support_barycenter([points], [np.full(len(points), 1 / len(points))], start, numItermax=100)
    found = barycenter(points, 6, weights="uniform", iterations=100, start=start)
    assert found.cost <= wasserstein2(atoms, points).value * 1.001
    assert found.converged
    assert_consistent(found, points)
    assert list(found.trace) == sorted(found.trace, reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_exact_is_scikit_learns_kmeans(seed: int) -> None:
    points = clusters(seed)
    start = points[np.random.default_rng(seed).choice(len(points), 6, replace=False)]
    exactly: Any = {"init": start, "n_init": 1, "max_iter": 300, "tol": 0.0, "algorithm": "lloyd"}
    oracle: Any = KMeans(6, **exactly).fit(points)
    found = barycenter(points, 6, weights="exact", iterations=300, start=start)
    assert found.cost == pytest.approx(oracle.inertia_ / len(points), rel=1e-9)
    np.testing.assert_allclose(found.weights, np.bincount(oracle.labels_, minlength=6) / len(points))
    assert kmeans(Problem.of(points, 6, start=start)).cost == pytest.approx(found.cost)
    assert found.converged
    assert_consistent(found, points)


def test_k_means_takes_the_start_of_the_barycenter() -> None:
    points = clusters(7)
    assert (
        kmeans(Problem.of(points, 6, seed=3)).cost
        == barycenter(points, 6, weights="exact", iterations=300, seed=3).cost
    )
    assert kmeans(Problem.of(points, 6)).cost >= best_kmeans(points, 6) * (1 - 1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_learned_comes_near_the_best_kmeans_in_ten_iterations_from_one_start(seed: int) -> None:
    points = clusters(seed, num=8, points=240, features=16)
    best = best_kmeans(points, 8)
    found = barycenter(points, 8, seed=seed)
    assert best * (1 - 1e-3) <= found.cost <= 1.05 * best
    assert len(found.trace) <= 10
    assert_consistent(found, points)


def test_learned_comes_near_the_best_kmeans_on_digits() -> None:
    digits: Any = load_digits()
    for label in (3, 8):
        points = digits.data[digits.target == label]
        assert barycenter(points, 10).cost <= 1.05 * best_kmeans(points, 10)


# --- promises --------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), num_atoms=st.integers(1, 6), spread=st.sampled_from([0.0, 1.0, 6.0]))
@settings(max_examples=25)
def test_learned_never_ends_above_uniform(seed: int, num_atoms: int, spread: float) -> None:
    points = clusters(seed, num=3, points=24, features=2, spread=spread)
    start = np.random.default_rng(seed).normal(size=(num_atoms, 2)) if seed % 2 else "kmeans++"
    found = {w: barycenter(points, num_atoms, weights=w, start=start, seed=seed, iterations=4) for w in FAMILIES}
    assert found["learned"].cost <= found["uniform"].cost
    for each in found.values():
        assert_consistent(each, points)


@pytest.mark.parametrize("weights", FAMILIES)
def test_atoms_that_nobody_needs_are_seeded_again(weights: Weights) -> None:
    points = clusters()
    start = np.vstack([points.mean(axis=0)[None], np.full((4, 8), 1e3)])
    found = barycenter(points, 5, weights=weights, start=start, iterations=20)
    assert found.weights.min() >= 1 / len(points) - 1e-12
    assert np.abs(found.atoms).max() < 100
    assert found.cost < points.var(axis=0).sum()


def test_an_empty_atom_gets_the_piece_of_mass_that_costs_most() -> None:
    pieces = Pieces(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 3]), np.full(4, 0.25))
    distances = np.array([[1.0, 3.0, 2.0, 9.0], [9.0, 9.0, 9.0, 8.0], [50.0, 50.0, 50.0, 50.0]])
    fed = feed_empty(pieces, distances, 1e-9)  # point 3 costs more, but is all that atom 1 has
    np.testing.assert_array_equal(fed.atoms, [0, 2, 0, 1])
    np.testing.assert_array_equal(fed.mass, pieces.mass)
    np.testing.assert_array_equal(pieces.atoms, [0, 0, 0, 1])
    assert feed_empty(fed, distances, 1e-9) is fed


def test_a_uniform_step_never_goes_up_and_a_learned_step_nears_the_shares() -> None:
    points = clusters(5)
    problem = Problem.of(points, 5, start=points[:5])
    cells = cluster(problem, problem.atoms, problem.distances)
    state = reweighted(problem, cells, np.full(5, 0.2))
    assert uniform_step(problem, state).cost <= state.cost
    weights = learned_step(problem, state, 1.0).weights
    assert np.linalg.norm(weights - cells.weights) < np.linalg.norm(state.weights - cells.weights)


def test_the_same_call_gives_the_same_bits_and_seeds_differ() -> None:
    points = clusters(2)
    first, again, other = (barycenter(points, 7, seed=s) for s in (1, 1, 2))
    assert first.atoms.tobytes() == again.atoms.tobytes()
    assert first.weights.tobytes() == again.weights.tobytes()
    assert first.trace == again.trace
    assert first.atoms.tobytes() != other.atoms.tobytes()


# --- equivariance ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", FAMILIES)
def test_shift_and_scale_carry_over(weights: Weights) -> None:
    points = clusters(3)
    plain = barycenter(points, 5, weights=weights)
    for scale, shift in ((1e-6, 0.0), (1e6, 0.0), (2.0, 1e4)):
        moved = barycenter(points * scale + shift, 5, weights=weights)
        np.testing.assert_allclose((moved.atoms - shift) / scale, plain.atoms, atol=1e-7)
        np.testing.assert_allclose(moved.weights, plain.weights, atol=1e-7)
        assert moved.cost == pytest.approx(plain.cost * scale**2, rel=1e-7)


@pytest.mark.parametrize("weights", FAMILIES)
def test_the_order_of_points_and_of_starting_atoms_does_not_matter(weights: Weights) -> None:
    points = clusters(4)
    start, draw = points[:5], np.random.default_rng(0)
    plain = barycenter(points, 5, weights=weights, start=start)
    order = draw.permutation(5)
    mixed = barycenter(points[draw.permutation(len(points))], 5, weights=weights, start=start[order])
    np.testing.assert_allclose(mixed.atoms, plain.atoms[order], atol=1e-8)
    np.testing.assert_allclose(mixed.weights, plain.weights[order], atol=1e-8)
    assert mixed.cost == pytest.approx(plain.cost, rel=1e-9)


def test_tensors_are_accepted() -> None:
    points = clusters(6).astype(np.float32)
    array, tensor = barycenter(points, 4), barycenter(torch.from_numpy(points).requires_grad_(), 4)
    np.testing.assert_array_equal(array.atoms, tensor.atoms)
    restarted = barycenter(torch.from_numpy(points), 4, start=torch.from_numpy(array.atoms))
    assert restarted.cost <= array.cost * 1.05


# --- parts -----------------------------------------------------------------------------------------------------------


@given(arrays(np.float64, st.integers(1, 8), elements=st.floats(-50, 50)))
def test_the_projection_is_the_nearest_point_of_the_simplex(vector: Array) -> None:
    near = project_simplex(vector)
    assert near.min() >= 0
    assert near.sum() == pytest.approx(1.0)
    # Nearest point of a convex set: no corner lies on the far side of it.
    corners = np.eye(len(vector))
    assert ((corners - near) @ (vector - near)).max() <= 1e-9


def test_the_projection_leaves_the_simplex_alone() -> None:
    np.testing.assert_allclose(project_simplex(np.array([0.2, 0.0, 0.8])), [0.2, 0.0, 0.8])
    np.testing.assert_allclose(project_simplex(np.array([5.0, 0.0])), [1.0, 0.0])


def test_seeds_are_different_points_and_find_every_cluster() -> None:
    points = clusters(8, num=6, spread=30.0)
    for seed in range(5):
        seeds = kmeans_plus_plus(points, 6, np.random.default_rng(seed))
        assert len(np.unique(seeds, axis=0)) == 6
        assert cdist(seeds, points).min(axis=0).max() < 20.0
        np.testing.assert_array_equal(seeds, kmeans_plus_plus(points, 6, np.random.default_rng(seed)))


def test_seeding_wastes_nothing_on_duplicates() -> None:
    points = np.repeat(np.arange(4.0)[:, None], 5, axis=0)
    assert sorted(kmeans_plus_plus(points, 4, np.random.default_rng(0))[:, 0]) == [0.0, 1.0, 2.0, 3.0]
    assert kmeans_plus_plus(np.ones((3, 2)), 3, np.random.default_rng(0)).shape == (3, 2)


# --- wrong input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (DataError, {"points": np.array([[0.0], [np.nan]])}, "NaN or infinity in 1 of 2 rows, first in row 1"),
        (DataError, {"num_atoms": 4}, "got 4 atoms for 3 points"),
        (DataError, {"num_atoms": 0}, "got 0 atoms"),
        (DataError, {"points": np.ones(3)}, r"got shape \(3,\)"),
        (DataError, {"start": np.array([[np.inf, 0.0], [0.0, 0.0]])}, "start must be finite"),
        (ConfigError, {"weights": "learnt"}, "did you mean 'learned'"),
        (ConfigError, {"iterations": 0}, "iterations must be >= 1"),
        (ConfigError, {"step": 2.0}, "step between 0 and 2"),
        (ConfigError, {"start": "noise"}, "unknown start"),
        (ConfigError, {"start": np.ones((3, 2))}, r"got shape \(3, 2\); give \(2, 2\)"),
    ],
)
def test_wrong_input_is_one_line(kind: type[Exception], arguments: dict[str, Any], message: str) -> None:
    given_arguments: dict[str, Any] = {"points": np.arange(6.0).reshape(3, 2), "num_atoms": 2} | arguments
    with pytest.raises(kind, match=message) as caught:
        barycenter(**given_arguments)
    assert "\n" not in str(caught.value)
