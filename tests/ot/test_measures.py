"""Barycenters of weighted points and of several measures: known answers."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wmdd.errors import ConfigError, DataError
from wmdd.ot import barycenter, wasserstein2

Array = NDArray[np.float64]


def cloud(seed: int, points: int = 60, features: int = 3) -> Array:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(points, features)) * draw.gamma(1.0, size=features) + draw.normal(size=features) * 3


def total(found: Any, measures: list[Array], shares: Array) -> float:
    return float(
        sum(s * wasserstein2(found.atoms, m, found.weights).value for s, m in zip(shares, measures, strict=True))
    )


@pytest.mark.parametrize("weights", ["learned", "uniform", "exact"])
def test_a_point_of_double_mass_is_two_points(weights: Any) -> None:
    points = cloud(0, 20)
    times = np.random.default_rng(1).integers(1, 4, size=20)
    start = points[:4]
    repeated = barycenter(np.repeat(points, times, axis=0), 4, weights=weights, start=start, iterations=5)
    weighed = barycenter(points, 4, weights=weights, start=start, iterations=5, masses=times / times.sum())
    assert weighed.cost == pytest.approx(repeated.cost, rel=1e-9)
    np.testing.assert_allclose(weighed.atoms, repeated.atoms, atol=1e-9)
    np.testing.assert_allclose(weighed.weights, repeated.weights, atol=1e-9)


def test_points_without_mass_are_not_there() -> None:
    points = np.vstack([cloud(2, 20), np.full((5, 3), 1e6)])
    masses = np.append(np.full(20, 0.05), np.zeros(5))
    found, plain = barycenter(points, 4, masses=masses, seed=3), barycenter(points[:20], 4, seed=3)
    np.testing.assert_allclose(found.atoms, plain.atoms, atol=1e-9)
    with pytest.raises(DataError, match="got 21 atoms for 20 points"):
        barycenter(points, 21, masses=masses)


def test_one_atom_for_two_points_lies_where_their_shares_say() -> None:
    first, second = np.array([[0.0, 0.0]]), np.array([[4.0, 0.0]])
    found = barycenter([first, second], 1, shares=np.array([0.75, 0.25]))
    np.testing.assert_allclose(found.atoms, [[1.0, 0.0]], atol=1e-12)
    assert found.cost == pytest.approx(0.75 * 1 + 0.25 * 9)


def test_on_a_line_the_barycenter_averages_quantiles() -> None:
    first, second = np.sort(np.random.default_rng(0).normal(size=8)), np.sort(np.random.default_rng(1).gamma(2, size=8))
    start = ((first + second) / 2)[:, None] + 0.01
    found = barycenter([first[:, None], second[:, None]], 8, weights="uniform", start=start, iterations=20)
    np.testing.assert_allclose(np.sort(found.atoms[:, 0]), (first + second) / 2, atol=1e-9)
    assert found.cost == pytest.approx(((first - second) ** 2).mean() / 4)


@pytest.mark.parametrize("schedule", [None, "constant", "sqrt"])
def test_learned_weights_lower_the_cost_of_several_measures(schedule: Any) -> None:
    measures, shares = [cloud(5, 50), cloud(6, 70), cloud(7, 40)], np.array([0.5, 0.3, 0.2])
    given: dict[str, Any] = {"iterations": 30, "shares": shares, "seed": 0}
    uniform = barycenter(measures, 6, weights="uniform", **given)
    learned = barycenter(measures, 6, schedule=schedule, **given)
    assert learned.cost <= uniform.cost
    assert learned.cost == pytest.approx(total(learned, measures, shares), rel=1e-9)
    assert list(learned.trace) == sorted(learned.trace, reverse=True)
    assert learned.weights.sum() == pytest.approx(1.0, abs=1e-12)


def test_the_same_measure_twice_is_that_measure() -> None:
    points = cloud(8)
    once = barycenter(points, 5, weights="uniform", start=points[:5])
    twice = barycenter([points, torch.from_numpy(points)], 5, weights="uniform", start=points[:5])
    assert twice.cost == pytest.approx(once.cost, rel=1e-9)
    np.testing.assert_allclose(twice.atoms, once.atoms, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (ConfigError, {"weights": "exact"}, "known for one measure only; got 2"),
        (DataError, {"points": [np.ones((3, 2)), np.ones((3, 3))]}, "as many features each"),
        (DataError, {"masses": [np.full(3, 1 / 3)]}, "1 lists of masses"),
        (DataError, {"masses": [np.full(3, 1 / 3), np.full(3, 0.5)]}, "sum to 1"),
        (DataError, {"shares": np.array([1.0, 0.0])}, "shares of measures must be positive"),
        (DataError, {"shares": np.array([1.0])}, "must be 2 numbers"),
        (DataError, {"num_atoms": 7}, "got 7 atoms for 6 points"),
        (ConfigError, {"schedule": "root"}, "unknown schedule"),
        (ConfigError, {"tolerance": -1.0}, "tolerance >= 0"),
    ],
)
def test_wrong_input_is_one_line(kind: type[Exception], arguments: dict[str, Any], message: str) -> None:
    measures = [np.arange(6.0).reshape(3, 2), np.arange(6.0, 12.0).reshape(3, 2)]
    with pytest.raises(kind, match=message) as caught:
        barycenter(**({"points": measures, "num_atoms": 2} | arguments))
    assert "\n" not in str(caught.value)
