"""The kernel side of the theory: known answers, and an independent solver for the least norm."""

import numpy as np
import pytest
from scipy.optimize import minimize

from wmdd import ot
from wmdd.ot.alternatives.mmd import rbf_objective


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(4))
    return rng.normal(size=(4, 3)), rng.normal(0.5, 1.0, size=(30, 3)), weights


def test_the_linear_discrepancy_is_the_distance_of_the_means_and_bounds_every_affine_map() -> None:
    few, many, weights = scene()
    assert ot.mean_distance(few, many, weights) == pytest.approx(np.linalg.norm(weights @ few - many.mean(0)))
    head = ot.Affine(matrix=np.random.default_rng(1).normal(size=(5, 3)), offset=np.ones(5))
    bound = ot.affine_lipschitz(head) * ot.mean_distance(few, many, weights)
    assert ot.affine_gap(head, few, many, weights) <= bound
    assert ot.mean_distance(few, many, weights) <= ot.wasserstein1(few, many, weights).value + 1e-12


def test_equal_sets_are_at_no_discrepancy() -> None:
    _, many, _ = scene()
    found = ot.kernel_certificate(many, many, np.ones(30), many[:, 0], many[:, 0])
    assert found.discrepancy == pytest.approx(0, abs=1e-7)
    assert (found.gap, found.bound) == (pytest.approx(0), pytest.approx(0, abs=1e-6))


def test_the_discrepancy_is_that_which_the_objective_of_the_atoms_measures() -> None:
    """`rbf_objective` is K (MMD² − mean k(x, x)), with the sum of five Gaussians in place of their mean."""
    few, many, _ = scene()
    found = ot.kernel_certificate(few, many, np.ones(4), few[:, 0], many[:, 0])
    unit = np.sqrt(ot.median_distance(many))
    among = 5 * ot.gaussian_mixture(many, unit**2).mean()
    value, _ = rbf_objective(few / unit, many / unit)
    assert found.discrepancy**2 == pytest.approx((value / 4 + among) / 5)


def test_a_function_of_the_space_has_its_own_norm_at_most_and_the_bound_holds() -> None:
    few, many, weights = scene()
    points = np.concatenate([few, many])
    kernel = ot.gaussian_mixture(points, ot.median_distance(many))
    coefficients = np.random.default_rng(2).normal(size=34)
    values, norm = kernel @ coefficients, np.sqrt(coefficients @ kernel @ coefficients)
    found = ot.kernel_certificate(few, many, weights, values[:4] + 7.0, values[4:] + 7.0)  # constants are free
    assert found.norm <= norm * (1 + 1e-6)
    assert found.gap == pytest.approx(abs(weights @ values[:4] - values[4:].mean()))
    assert found.gap <= found.bound


def test_the_norm_is_the_least_as_another_solver_finds_it() -> None:
    few, many, weights = scene(3)
    many = many[:6]
    points = np.concatenate([few, many])
    values = points[:, 0] ** 2
    kernel = ot.gaussian_mixture(points, ot.median_distance(many))
    inverse = np.linalg.inv(kernel)
    least = minimize(lambda c: float((values - c[0]) @ inverse @ (values - c[0])), [0.0], tol=1e-12).fun
    found = ot.kernel_certificate(few, many, weights, values[:4], values[4:])
    assert found.norm == pytest.approx(np.sqrt(least), rel=1e-5)
    assert found.gap <= found.bound


def test_the_witness_reaches_the_bound() -> None:
    """The function Σ s_i k(z_i, ·) is where the inequality is an equality."""
    few, many, weights = scene(4)
    points = np.concatenate([few, many])
    masses = np.concatenate([weights, np.full(30, -1 / 30)])
    values = ot.gaussian_mixture(points, ot.median_distance(many)) @ masses
    found = ot.kernel_certificate(few, many, weights, values[:4], values[4:])
    assert found.gap == pytest.approx(found.bound, rel=1e-5)


@pytest.mark.parametrize("copies", [2, 3])
def test_points_that_coincide_leave_it_finite(copies: int) -> None:
    few, many, weights = scene(5)
    many = np.repeat(many, copies, axis=0)
    found = ot.kernel_certificate(few, many, weights, few[:, 1], many[:, 1])
    assert np.isfinite(found.bound)
    assert found.gap <= found.bound
