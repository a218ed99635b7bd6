"""The solver for few atoms and many points: as cheap as the network simplex on everything, and what it gives up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wmdd.ot import solvers, transport
from wmdd.ot.plan import MAX_GAP
from wmdd.ot.solvers import network_simplex, semidiscrete, whole_units

Array = NDArray[np.float64]
KINDS = ["real", "grid", "same points", "same atoms", "atoms at points", "integers, negative too"]


def problem(draw: np.random.Generator, kind: str, num_atoms: int, num_points: int) -> Array:
    """Return a cost `(n, K)` of the kind."""
    points, atoms = draw.normal(size=(num_points, 3)), draw.normal(size=(num_atoms, 3))
    if kind == "grid":
        points, atoms = np.rint(points), np.rint(atoms)
    if kind == "same points":
        points[:] = points[0]
    if kind == "same atoms":
        atoms[:] = atoms[0]
    if kind == "atoms at points":
        atoms = points[draw.choice(num_points, num_atoms)]
    if kind == "integers, negative too":
        return draw.integers(-3, 4, size=(num_points, num_atoms)).astype(float)
    return ((points[:, None] - atoms) ** 2).sum(axis=2)


def masses(draw: np.random.Generator, count: int, kind: str) -> Array:
    """Return masses `(count,)`: equal, uneven, or some of them zero."""
    if kind == "equal":
        return np.full(count, 1.0 / count)
    weights = draw.dirichlet(np.full(count, 0.3)) + 1e-3
    if kind == "zeros" and count > 1:
        weights[draw.choice(count, count // 2, replace=False)] = 0.0
    return weights / weights.sum()


@given(
    seed=st.integers(0, 10_000),
    num_atoms=st.integers(1, 16),
    per_atom=st.floats(1.0, 6.0),
    kind=st.sampled_from(KINDS),
    weights=st.sampled_from(["equal", "uneven", "zeros"]),
    supplies=st.sampled_from(["equal", "uneven", "zeros"]),
    start=st.sampled_from([0.0, 1.0, 100.0]),
)
@settings(max_examples=200)
def test_it_finds_what_thenetwork_simplex_finds(
    seed: int, num_atoms: int, per_atom: float, kind: str, weights: str, supplies: str, start: float
) -> None:
    draw = np.random.default_rng(seed)
    cost = problem(draw, kind, num_atoms, int(num_atoms * per_atom))
    demand, supply = masses(draw, num_atoms, weights), masses(draw, len(cost), supplies)
    scale = max(np.abs(cost).max(), 1e-300)
    found = semidiscrete(cost, demand, supply, duals=start * draw.normal(size=num_atoms), scale=scale)
    assert found is not None
    pieces, duals = found
    np.testing.assert_allclose(np.bincount(pieces.atoms, pieces.mass, num_atoms), demand, atol=1e-13)
    np.testing.assert_allclose(np.bincount(pieces.points, pieces.mass, len(cost)), supply, atol=1e-13)
    assert pieces.mass.min() > 0
    value = pieces.mass @ cost[pieces.points, pieces.atoms]
    oracle, _ = network_simplex(cost, demand, supply, scale)
    assert value == pytest.approx(oracle.mass @ cost[oracle.points, oracle.atoms], rel=1e-9, abs=1e-9)
    dual_value = duals @ demand + (cost - duals).min(axis=1) @ supply
    assert value == pytest.approx(dual_value, rel=MAX_GAP, abs=MAX_GAP * scale)


def test_a_plan_has_no_more_pieces_than_a_basis() -> None:
    draw = np.random.default_rng(0)
    cost = problem(draw, "real", 7, 50)
    plan = transport(cost.T, masses(draw, 7, "uneven"), masses(draw, 50, "uneven"))
    assert len(plan.mass) <= 50 + 7 - 1
    np.testing.assert_allclose(plan.plan.sum(axis=0), plan.plan.sum(axis=0))
    assert plan.value == pytest.approx((plan.plan * cost.T).sum(), rel=1e-12)


def test_equal_masses_that_divide_evenly_are_not_split() -> None:
    cost = problem(np.random.default_rng(1), "real", 6, 60)
    plan = transport(cost.T, np.full(6, 1 / 6), np.full(60, 1 / 60))
    np.testing.assert_array_equal(np.bincount(plan.rows), np.full(6, 10))
    np.testing.assert_array_equal(np.sort(plan.columns), np.arange(60))


def test_a_start_near_the_answer_gives_the_answer() -> None:
    cost = problem(np.random.default_rng(2), "real", 8, 100).T
    weights = masses(np.random.default_rng(3), 8, "uneven")
    cold = transport(cost, weights, np.full(100, 0.01))
    warm = transport(cost, weights, np.full(100, 0.01), start=cold.dual_a)
    assert warm.value == pytest.approx(cold.value, rel=1e-12)
    np.testing.assert_array_equal(np.sort(warm.rows), np.sort(cold.rows))


def test_what_it_gives_up_thenetwork_simplex_finishes(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = problem(np.random.default_rng(4), "real", 6, 60).T
    weights = masses(np.random.default_rng(5), 6, "uneven")
    patient = transport(cost, weights, np.full(60, 1 / 60))
    monkeypatch.setattr(solvers, "_PATIENCE", 0)
    table, masses_b = np.ascontiguousarray(cost.T), np.full(60, 1 / 60)
    assert semidiscrete(table, weights, masses_b, duals=np.zeros(6), scale=cost.max()) is None
    assert transport(cost, weights, np.full(60, 1 / 60)).value == pytest.approx(patient.value, rel=1e-12)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (9, 9), (2, 40), (40, 2), (200, 230)])
def test_both_orientations_and_all_shapes_agree(shape: tuple[int, int]) -> None:
    draw = np.random.default_rng(6)
    cost = draw.random(shape)
    weights_a, weights_b = masses(draw, shape[0], "uneven"), masses(draw, shape[1], "zeros")
    plan, turned = transport(cost, weights_a, weights_b), transport(cost.T, weights_b, weights_a)
    assert plan.value == pytest.approx(turned.value, rel=1e-9)
    assert plan.gap <= MAX_GAP
    assert (plan.dual_a[:, None] + plan.dual_b - cost).max() <= 1e-12
    np.testing.assert_allclose(plan.plan.sum(axis=1), weights_a, atol=1e-12)


def test_a_degenerate_line_does_not_take_for_ever() -> None:
    draw = np.random.default_rng(7)
    points, atoms = draw.normal(size=(400, 1)).cumsum(axis=0), draw.normal(size=(40, 1))
    plan = transport((atoms - points.T) ** 2, draw.dirichlet(np.full(40, 0.2)), np.full(400, 1 / 400))
    assert plan.gap <= MAX_GAP


def test_whole_units_add_up_and_are_nearest() -> None:
    weights = np.array([1 / 3, 1 / 3, 1 / 3, 0.0])
    units = whole_units(weights, 100)
    np.testing.assert_array_equal(units, [34, 33, 33, 0])
