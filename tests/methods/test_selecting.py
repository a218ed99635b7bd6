"""Coresets as mathematics: known answers, slow oracles, and what every choice promises."""

from collections.abc import Callable
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wmdd import ot
from wmdd.methods.herding.distill import herding
from wmdd.methods.k_center.distill import k_center
from wmdd.methods.k_means.distill import k_means
from wmdd.methods.kits.coresets import Points, Rows, unit_rows

LINE = np.array([[0.0], [1.0], [2.0], [10.0]])
CHOICES: dict[str, Callable[[Points, int], Rows]] = {
    "herding": herding,
    "k-center": k_center,
    "k-means": lambda points, count: k_means(points, count, range(5)),
}


def drawn(seed: int, n: int = 30, width: int = 4) -> Points:
    return np.random.default_rng(seed).normal(size=(n, width))


def spread(points: Points, rows: Rows) -> float:
    """Return the largest distance from a point to the nearest chosen one."""
    return float(np.linalg.norm(points[:, None] - points[rows][None], axis=2).min(axis=1).max())


def naive_herding(points: Points, count: int) -> list[int]:
    """Try every row and take the mean of all that would be chosen, from its definition."""
    chosen: list[int] = []
    for _ in range(count):
        free = [row for row in range(len(points)) if row not in chosen]
        errors = [np.linalg.norm(points.mean(axis=0) - points[[*chosen, row]].mean(axis=0)) for row in free]
        chosen.append(free[int(np.argmin(errors))])
    return chosen


def naive_k_center(points: Points, count: int) -> list[int]:
    """Measure every distance every time."""
    chosen = [int(np.linalg.norm(points - points.mean(axis=0), axis=1).argmin())]
    while len(chosen) < count:
        nearest = [min(np.linalg.norm(point - points[row]) for row in chosen) for point in points]
        chosen.append(int(np.argmax(nearest)))
    return chosen


def test_herding_on_a_line() -> None:
    # Mean 3.25. 2 is nearest; 4.5 would be exact next, 1 is nearest to it; then 6.75, and 10 is.
    assert herding(LINE, 4).tolist() == [2, 1, 3, 0]


def test_k_center_on_a_line() -> None:
    assert k_center(LINE, 4).tolist() == [2, 3, 0, 1]


def test_k_means_takes_the_middle_of_every_cluster() -> None:
    shape = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    points = np.concatenate([shape + centre for centre in ([0, 0], [50, 0], [0, 50])])
    assert sorted(k_means(points, 3, range(5)).tolist()) == [0, 5, 10]


@pytest.mark.parametrize("seed", range(5))
def test_herding_is_what_its_definition_says(seed: int) -> None:
    points = drawn(seed)
    assert herding(points, 12).tolist() == naive_herding(points, 12)


@pytest.mark.parametrize("seed", range(5))
def test_k_center_is_what_its_definition_says(seed: int) -> None:
    points = drawn(seed)
    assert k_center(points, 12).tolist() == naive_k_center(points, 12)


@pytest.mark.parametrize("seed", range(5))
def test_k_center_leaves_at_most_twice_the_smallest_radius(seed: int) -> None:
    points = drawn(seed, n=11, width=2)
    best = min(spread(points, np.array(rows)) for rows in combinations(range(11), 3))
    assert spread(points, k_center(points, 3)) <= 2 * best + 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_k_means_takes_the_cheapest_run_and_the_cheapest_rows(seed: int) -> None:
    points = drawn(seed, n=8, width=2)
    runs = [ot.kmeans(ot.Problem.of(points, 3, seed=start)) for start in range(4)]
    best = min(runs, key=lambda run: run.cost)
    distances = ot.squared_distances(best.atoms, points)
    rows = k_means(points, 3, range(4))
    cheapest = min(sum(distances[range(3), list(order)]) for order in permutations(range(8), 3))
    assert distances[range(3), rows].sum() == pytest.approx(cheapest)
    assert [k_means(points, 3, [start]).tolist() for start in range(4) if runs[start].cost == best.cost][0] == list(
        rows
    )


def test_centres_with_one_nearest_row_get_rows_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.array([[0.0], [4.0], [9.0]])
    centres = ot.Barycenter(
        atoms=np.array([[1.0], [1.5]]), weights=np.full(2, 0.5), cost=0.0, trace=(0.0,), converged=True
    )
    monkeypatch.setattr(ot, "kmeans", lambda *_, **__: centres)
    # Both are nearest to row 0; 1 + 2.5² is less than 9 + 1.5².
    assert k_means(points, 2, [0]).tolist() == [0, 1]


@pytest.mark.parametrize("name", CHOICES)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 25), width=st.integers(1, 5), data=st.data())
def test_rows_are_different_and_there(name: str, seed: int, n: int, width: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, n))
    # Whole numbers of a small range: many points are equal, many distances tie.
    points = np.random.default_rng(seed).integers(0, 3, size=(n, width)).astype(float)
    rows = CHOICES[name](points, count)
    assert rows.shape == (count,)
    assert rows.dtype == np.int64
    assert len(set(rows.tolist())) == count
    assert 0 <= rows.min() <= rows.max() < n


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("seed", range(5))
def test_one_row_is_the_nearest_to_the_mean(name: str, seed: int) -> None:
    points = drawn(seed)
    nearest = np.linalg.norm(points - points.mean(axis=0), axis=1).argmin()
    assert CHOICES[name](points, 1).tolist() == [nearest]


@pytest.mark.parametrize("name", ["herding", "k-center"])
@given(seed=st.integers(0, 10_000), shorter=st.integers(1, 20), longer=st.integers(1, 20))
def test_a_longer_choice_begins_with_the_shorter_one(name: str, seed: int, shorter: int, longer: int) -> None:
    points = drawn(seed, n=20)
    shorter, longer = sorted((shorter, longer))
    assert CHOICES[name](points, longer)[:shorter].tolist() == CHOICES[name](points, shorter).tolist()


@pytest.mark.parametrize("name", CHOICES)
def test_equal_points_are_no_trouble(name: str) -> None:
    assert sorted(CHOICES[name](np.ones((4, 3)), 4).tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["herding", "k-center"])
def test_the_order_of_the_rows_does_not_matter(name: str) -> None:
    points = drawn(3)
    order = np.random.default_rng(0).permutation(len(points))
    assert order[CHOICES[name](points[order], 7)].tolist() == CHOICES[name](points, 7).tolist()


def test_herding_follows_the_mean_better_than_random_rows() -> None:
    points, stream = drawn(0, n=200), np.random.default_rng(1)
    found = np.linalg.norm(points[herding(points, 10)].mean(axis=0) - points.mean(axis=0))
    random = [points[stream.choice(200, 10, replace=False)].mean(axis=0) for _ in range(200)]
    assert found < min(np.linalg.norm(mean - points.mean(axis=0)) for mean in random)


def test_unit_rows_have_norm_1_and_zeros_stay() -> None:
    rows = unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-30, 0.0]]))
    assert rows.dtype == np.float64
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0.0, 0.0], [1.0, 0.0]])
