"""What must hold of every barycenter, whatever the points: symmetries, limits, the simplex, threads."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wmdd.errors import DataError
from wmdd.ot import Barycenter, barycenter, barycenters, in_threads, wasserstein1, wasserstein2
from wmdd.ot.free_support import Weights

Array = NDArray[np.float64]
FAMILIES: tuple[Weights, ...] = ("learned", "uniform", "exact")
seeds, families = st.integers(0, 10_000), st.sampled_from(FAMILIES)
SOME = settings(max_examples=30)


def cloud(seed: int, points: int = 40, features: int = 4) -> Array:
    draw = np.random.default_rng(seed)
    centres = 3 * draw.normal(size=(4, features))
    return centres[draw.integers(4, size=points)] + draw.normal(size=(points, features))


def assert_same(found: Barycenter, other: Barycenter, *, order: Any = slice(None), atol: float = 1e-7) -> None:
    np.testing.assert_allclose(found.atoms, other.atoms[order], atol=atol)
    np.testing.assert_allclose(found.weights, other.weights[order], atol=1e-9)


@given(seed=seeds, weights=families, shift=st.floats(-1e3, 1e3), exponent=st.integers(-6, 6))
@SOME
def test_translation_and_scaling(seed: int, weights: Weights, shift: float, exponent: int) -> None:
    points, scale = cloud(seed), 2.0**exponent
    plain = barycenter(points, 5, weights=weights, start=points[:5])
    moved = barycenter(points * scale + shift, 5, weights=weights, start=points[:5] * scale + shift)
    np.testing.assert_allclose((moved.atoms - shift) / scale, plain.atoms, atol=1e-7)
    np.testing.assert_allclose(moved.weights, plain.weights, atol=1e-7)
    assert moved.cost == pytest.approx(plain.cost * scale**2, rel=1e-7)


@given(seed=seeds, weights=families)
@SOME
def test_permutation_and_rotation(seed: int, weights: Weights) -> None:
    points, draw = cloud(seed), np.random.default_rng(seed)
    plain = barycenter(points, 5, weights=weights, start=points[:5])
    order, turn = draw.permutation(5), np.linalg.qr(draw.normal(size=(4, 4)))[0]
    mixed = barycenter(points[draw.permutation(40)], 5, weights=weights, start=points[order])
    assert_same(mixed, plain, order=order)
    turned = barycenter(points @ turn, 5, weights=weights, start=points[:5] @ turn)
    np.testing.assert_allclose(turned.atoms, plain.atoms @ turn, atol=1e-5)  # products in single precision


@given(seed=seeds, num_atoms=st.integers(1, 8), per_atom=st.integers(1, 6))
@SOME
def test_on_a_line_equal_weights_are_sorted_slices(seed: int, num_atoms: int, per_atom: int) -> None:
    values = np.random.default_rng(seed).gamma(1.0, size=num_atoms * per_atom)
    found = barycenter(values[:, None], num_atoms, weights="uniform", iterations=50, seed=seed)
    slices = np.sort(values).reshape(num_atoms, per_atom)
    np.testing.assert_allclose(np.sort(found.atoms[:, 0]), slices.mean(axis=1), atol=1e-12)
    assert found.cost == pytest.approx(slices.var(axis=1).mean(), abs=1e-12)


@given(seed=seeds, num_a=st.integers(1, 9), num_b=st.integers(1, 9))
@SOME
def test_on_a_line_distances_are_those_of_quantiles(seed: int, num_a: int, num_b: int) -> None:
    draw = np.random.default_rng(seed)
    first, second = np.sort(draw.normal(size=num_a)), np.sort(draw.normal(size=num_b))
    gap = np.repeat(first, num_b) - np.repeat(second, num_a)
    assert wasserstein2(first[:, None], second[:, None]).value == pytest.approx((gap**2).mean(), rel=1e-9, abs=1e-12)
    assert wasserstein1(first[:, None], second[:, None]).value == pytest.approx(np.abs(gap).mean(), rel=1e-9, abs=1e-12)


@given(seed=seeds, weights=families, copies=st.integers(2, 4))
@SOME
def test_duplicating_every_point_changes_nothing(seed: int, weights: Weights, copies: int) -> None:
    points = cloud(seed, 24)
    plain = barycenter(points, 4, weights=weights, start=points[:4], iterations=4)
    doubled = barycenter(np.repeat(points, copies, axis=0), 4, weights=weights, start=points[:4], iterations=4)
    assert doubled.cost == pytest.approx(plain.cost, rel=1e-7)


@given(seed=seeds, weights=families, num_points=st.integers(1, 12))
@SOME
def test_one_atom_and_as_many_as_points(seed: int, weights: Weights, num_points: int) -> None:
    points = cloud(seed, num_points)
    one, all_of_them = barycenter(points, 1, weights=weights), barycenter(points, num_points, weights=weights)
    np.testing.assert_allclose(one.atoms[0], points.mean(axis=0), atol=1e-12)
    assert one.cost == pytest.approx(points.var(axis=0).sum(), abs=1e-12)
    assert all_of_them.cost == pytest.approx(0.0, abs=1e-20)
    with pytest.raises(DataError, match=f"got {num_points + 1} atoms for {num_points} points"):
        barycenter(points, num_points + 1, weights=weights)


@given(seed=seeds, weights=families, num_atoms=st.integers(1, 20), distinct=st.integers(1, 40))
@SOME
def test_weights_lie_in_the_simplex_and_traces_go_down(
    seed: int, weights: Weights, num_atoms: int, distinct: int
) -> None:
    points = cloud(seed)[np.random.default_rng(seed).integers(distinct, size=40)]
    found = barycenter(points, num_atoms, weights=weights, seed=seed)
    assert found.weights.min() >= 0.0
    assert found.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert list(found.trace) == sorted(found.trace, reverse=True)
    assert found.cost == found.trace[-1]
    assert wasserstein2(found.atoms, points, found.weights).value == pytest.approx(found.cost, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("weights", FAMILIES)
def test_threads_do_not_change_a_bit(weights: Weights) -> None:
    classes = [cloud(seed, 300, 64) for seed in range(6)]
    one, two = (list(barycenters(classes, 7, weights=weights, threads=threads)) for threads in (1, 2))
    for first, second in zip(one, two, strict=True):
        assert first.atoms.tobytes() == second.atoms.tobytes()
        assert first.weights.tobytes() == second.weights.tobytes()
        assert first.trace == second.trace


def test_classes_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def classes() -> Any:
        for seed in range(40):
            taken.append(seed)
            yield cloud(seed)

    found = barycenters(classes(), 3, threads=2)
    next(found)
    assert len(taken) <= 8
    assert len(list(found)) == 39


def test_an_error_in_a_class_comes_out_in_its_place() -> None:
    good, bad = cloud(0), np.full((5, 4), np.nan)
    found = barycenters([good, good, bad, good], 3, threads=2)
    assert next(found).cost == next(found).cost
    with pytest.raises(DataError, match="NaN"):
        next(found)


def test_a_starting_set_drawn_from_the_points() -> None:
    points = cloud(1)
    first, again, other = (barycenter(points, 5, start="points", seed=seed) for seed in (3, 3, 4))
    assert first.atoms.tobytes() == again.atoms.tobytes()
    assert first.atoms.tobytes() != other.atoms.tobytes()


def test_results_come_in_order() -> None:
    assert list(in_threads(lambda value: value * value, range(20), threads=3)) == [value**2 for value in range(20)]
