"""Each alternative minimises what it says: POT and scikit-learn as oracles, and the bias that each one states."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import approx_fprime
from sklearn.datasets import load_digits
from sklearn.metrics.pairwise import rbf_kernel

from wmdd.errors import NumericsError
from wmdd.ot import (
    Problem,
    barycenter,
    class_mean,
    entropic_barycenter,
    kmeans_plus_plus,
    mmd_linear,
    mmd_rbf,
    sliced_barycenter,
    squared_distances,
    wasserstein_barycenter,
)
from wmdd.ot.alternatives.entropic import critical_temperature, sinkhorn
from wmdd.ot.alternatives.mmd import median_distance, rbf_objective
from wmdd.ot.alternatives.sliced import draw_frame, slice_means

Array = NDArray[np.float64]


def clusters(seed: int = 0) -> Array:
    """Return 90 points of 6 features in five clusters."""
    draw = np.random.default_rng(seed)
    return 4.0 * draw.normal(size=(5, 6))[draw.integers(5, size=90)] + draw.normal(size=(90, 6))


def digit(label: int) -> Array:
    """Return the images of one digit as points of 64 features."""
    digits: Any = load_digits()
    return digits.data[digits.target == label].astype(np.float64)


def spread(atoms: Array) -> float:
    """Return the total variance of the atoms."""
    return float(atoms.var(axis=0).sum())


# --- sliced ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_atoms", [1, 5, 7, 23])
def test_one_dimension_is_the_means_of_equal_slices(num_atoms: int) -> None:
    values = np.random.default_rng(1).gamma(1.0, size=23)
    found = sliced_barycenter(Problem.of(values[:, None], num_atoms))
    slices = np.repeat(np.sort(values), num_atoms).reshape(num_atoms, 23).mean(axis=1)
    np.testing.assert_allclose(np.sort(found.atoms[:, 0]), slices, atol=1e-12)
    assert found.converged
    assert found.cost <= barycenter(values[:, None], num_atoms, weights="uniform", iterations=50).cost * (1 + 1e-9)


@given(num_atoms=st.integers(1, 12), extra=st.integers(0, 30))
def test_slices_are_pots_plan_in_one_dimension(num_atoms: int, extra: int) -> None:
    from ot import emd_1d

    count = num_atoms + extra
    plan: Any = emd_1d(np.arange(num_atoms, dtype=float), np.arange(count, dtype=float))
    np.testing.assert_allclose(slice_means(num_atoms, count), num_atoms * plan, atol=1e-12)


def test_a_frame_is_orthonormal_and_has_no_preferred_sign() -> None:
    generator = np.random.default_rng(0)
    frames = [draw_frame(5, 3, generator) for _ in range(400)]
    for frame in frames[:3]:
        np.testing.assert_allclose(frame.T @ frame, np.eye(3), atol=1e-12)
    assert np.abs(np.mean(frames, axis=0)).max() < 0.1


@pytest.mark.parametrize("directions", [64, 16])
def test_the_sliced_distance_falls_below_that_of_the_exact_barycenter(directions: int) -> None:
    from ot import sliced_wasserstein_distance

    points = digit(3)
    start = kmeans_plus_plus(points, 10, np.random.default_rng(0))

    def sliced(atoms: Array) -> float:
        oracle: Any = sliced_wasserstein_distance(atoms, points, n_projections=2000, seed=1)
        return float(oracle) ** 2

    found = [
        sliced_barycenter(Problem.of(points, 10, start=start), iterations=rounds, directions=directions)
        for rounds in (4, 40)
    ]
    exact = barycenter(points, 10, start=start, weights="uniform")
    assert sliced(found[1].atoms) < sliced(found[0].atoms) < min(sliced(exact.atoms), sliced(start))
    assert found[1].cost > exact.cost  # it is another objective: the atoms lie as far out as points do
    assert spread(found[1].atoms) > 1.5 * spread(exact.atoms)


def test_a_partial_frame_moves_atoms_inside_its_span_only() -> None:
    points = clusters()
    start = points[:5]
    moved = sliced_barycenter(Problem.of(points, 5, start=start), iterations=1, directions=2).atoms - start
    assert np.linalg.matrix_rank(moved, tol=1e-9) == 2


# --- entropic --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_sinkhorn_is_pots(temperature: float) -> None:
    from ot.bregman import sinkhorn_log

    points = clusters()
    cost = squared_distances(points[:5], points)
    rows, columns = np.array([0.1, 0.2, 0.3, 0.25, 0.15]), np.full(90, 1 / 90)
    epsilon = temperature * float(cost.mean())
    plan, potentials = sinkhorn(cost / epsilon, (rows, columns), np.zeros(90), 1e-12)
    oracle: Any = sinkhorn_log(rows, columns, cost, epsilon, stopThr=1e-13, numItermax=100_000)
    np.testing.assert_allclose(plan, oracle, atol=1e-10)
    np.testing.assert_allclose(plan.sum(axis=1), rows, atol=1e-15)
    again, _ = sinkhorn(cost / epsilon, (rows, columns), potentials, 1e-12)
    np.testing.assert_allclose(again, plan, atol=1e-12)


def test_sinkhorn_survives_costs_that_no_exponential_does() -> None:
    cost = np.array([[0.0, 1e4, 4e4], [1e4, 0.0, 1e4]])
    plan, _ = sinkhorn(cost, (np.array([0.5, 0.5]), np.full(3, 1 / 3)), np.zeros(3), 1e-9)
    np.testing.assert_allclose(plan, [[1 / 3, 1 / 6, 0.0], [0.0, 1 / 6, 1 / 3]], atol=1e-8)


def test_the_atoms_are_pots() -> None:
    from ot.bregman import free_support_sinkhorn_barycenter

    points = clusters(1)
    epsilon = 0.3 * critical_temperature(points - points.mean(axis=0))
    oracle: Any = free_support_sinkhorn_barycenter(
        [points], [np.full(90, 1 / 90)], points[:5].copy(), epsilon, numItermax=20, numInnerItermax=10_000, stopThr=0.0
    )
    found = entropic_barycenter(Problem.of(points, 5, start=points[:5]), iterations=20, epsilon=0.3, tolerance=1e-12)
    np.testing.assert_allclose(found.atoms, oracle, atol=1e-5)


def test_atoms_shrink_to_the_mean_as_epsilon_grows_and_reach_the_exact_barycenter_as_it_falls() -> None:
    points = clusters(2)
    start = kmeans_plus_plus(points, 4, np.random.default_rng(0))
    problem = Problem.of(points, 4, start=start)
    exact = wasserstein_barycenter(problem, weights="uniform", iterations=200)
    shares = (1.5, 0.5, 0.2, 0.05, 0.01, 0.001)
    found = [entropic_barycenter(problem, iterations=200, epsilon=share) for share in shares]
    spreads = [spread(each.atoms) for each in found]
    assert spreads == sorted(spreads)
    assert spreads[0] < 1e-6 * spread(exact.atoms) < spreads[1]
    np.testing.assert_allclose(found[0].atoms, class_mean(Problem.of(points, 4)).atoms, atol=1e-2)
    assert spreads[-1] < spread(exact.atoms) * (1 + 1e-3)
    distances = [float(np.abs(each.atoms - exact.atoms).max()) for each in found]
    assert distances == sorted(distances, reverse=True)
    np.testing.assert_allclose(found[-1].atoms, exact.atoms, atol=0.05)
    assert found[-1].cost == pytest.approx(exact.cost, rel=1e-4)


def test_the_critical_temperature_is_where_the_mean_stops_attracting() -> None:
    points = clusters(3)
    start = points.mean(axis=0) + 0.01 * np.random.default_rng(0).normal(size=(4, 6))
    below, above = (
        entropic_barycenter(Problem.of(points, 4, start=start), iterations=300, epsilon=share) for share in (0.9, 1.1)
    )
    assert spread(above.atoms) < 1e-2 * spread(start) < spread(start) < 1e-2 * spread(below.atoms)


def test_points_that_are_all_alike_are_their_own_barycenter() -> None:
    found = entropic_barycenter(Problem.of(np.full((4, 3), 0.1), 2))
    np.testing.assert_allclose(found.atoms, 0.1, atol=1e-15)


def test_marginals_that_are_not_reached_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wmdd.ot.alternatives.entropic._ROUNDS", 1)
    with pytest.raises(NumericsError, match=r"wrong places after 11 sweeps, not <= 1e-12; raise epsilon") as caught:
        entropic_barycenter(Problem.of(clusters(), 4), epsilon=1e-3, tolerance=1e-12)
    assert "\n" not in str(caught.value)


# --- MMD -------------------------------------------------------------------------------------------------------------


def naive_mmd(atoms: Array, points: Array) -> float:
    """Return MMD² under the mixture, its widths from the pairs of different points, with scikit-learn's kernel."""
    pairs = [float(((x - y) ** 2).sum()) for i, x in enumerate(points) for y in points[:i]]
    total = 0.0
    for q in (0.25, 0.5, 1.0, 2.0, 4.0):
        gamma = 1.0 / (2.0 * q * float(np.median(pairs)) / 2.0)
        total += float(rbf_kernel(atoms, gamma=gamma).mean() + rbf_kernel(points, gamma=gamma).mean())
        total -= 2.0 * float(rbf_kernel(atoms, points, gamma=gamma).mean())
    return total


def test_the_objective_is_mmd_and_its_gradient_is_right() -> None:
    points = clusters()
    unit = np.sqrt(median_distance(points))
    draw = np.random.default_rng(0)
    values: list[tuple[float, float]] = []
    for _ in range(3):
        atoms = points[:4] + draw.normal(size=(4, 6))
        value, gradient = rbf_objective(atoms / unit, points / unit)
        values.append((value / 4, naive_mmd(atoms, points)))
        slope: Any = approx_fprime(
            (atoms / unit).ravel(), lambda flat: rbf_objective(flat.reshape(4, 6), points / unit)[0], 1e-7
        )
        np.testing.assert_allclose(gradient.ravel(), slope, atol=1e-6)
    rests = [naive - value for value, naive in values]
    np.testing.assert_allclose(rests, rests[0], atol=1e-12)  # the term that does not depend on the atoms


def test_mmd_falls_and_settles() -> None:
    points = clusters(1)
    start = kmeans_plus_plus(points, 6, np.random.default_rng(0))
    found = [mmd_rbf(Problem.of(points, 6, start=start), iterations=rounds) for rounds in (1, 3, 60)]
    values = [naive_mmd(each.atoms, points) for each in found]
    assert naive_mmd(start, points) > values[0] >= values[1] >= values[2] > 0
    assert found[2].converged


def test_the_best_atoms_of_mmd_are_not_those_of_transport() -> None:
    points = digit(3)
    exact = barycenter(points, 10, weights="uniform", iterations=60)
    found = mmd_rbf(Problem.of(points, 10, start=exact.atoms))
    assert naive_mmd(found.atoms, points) < naive_mmd(exact.atoms, points)
    assert found.cost > 1.05 * exact.cost
    assert spread(found.atoms) > 1.5 * spread(exact.atoms)


def test_one_atom_goes_to_a_mode_not_to_the_mean() -> None:
    points = np.concatenate([np.linspace(-0.1, 0.1, 21), np.linspace(9.9, 10.1, 9)])[:, None]
    found = mmd_rbf(Problem.of(points, 1, start=np.array([[1.0]])))
    assert abs(float(found.atoms[0, 0])) < 0.5 < float(points.mean())


def test_kernels_do_not_reach_atoms_that_start_far_away() -> None:
    points = clusters()
    start = np.full((2, 6), 1e4) + np.eye(6)[:2] * 1e4
    found = mmd_rbf(Problem.of(points, 2, start=start))
    np.testing.assert_allclose(found.atoms, start, rtol=1e-12)
    assert found.converged


def test_linear_mmd_shifts_the_start_and_nothing_else() -> None:
    points = clusters(2)
    start = np.random.default_rng(0).normal(size=(4, 6)) + 100.0
    found = mmd_linear(Problem.of(points, 4, start=start))
    np.testing.assert_allclose(found.atoms.mean(axis=0), points.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.atoms - found.atoms[0], start - start[0], atol=1e-12)
    assert found.converged
    assert len(found.trace) == 2
