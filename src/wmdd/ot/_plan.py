"""The exact transport plan between two weighted sets of points, with its dual potentials as a certificate.

Primal (Kantorovich): `min_T Σ_ij t_ij c_ij` with `T ≥ 0`, row sums `a`, column sums `b`.
Dual: `max_{u,v} ⟨u, a⟩ + ⟨v, b⟩` with `u_i + v_j ≤ c_ij`. At the optimum both agree, and `u` is a subgradient of the
value in `a` (Cuturi & Doucet 2014, section 4).

The network simplex of POT solves it. POT signals failure by a warning and a plan of zeros, so every answer is checked
here: a `Plan` that is returned is feasible and its gap is at most `MAX_GAP`. Meant for up to some ten thousand
points: the cost is dense.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from wmdd.errors import DataError, NumericsError
from wmdd.ot._cost import Float64, Points, as_points, squared_distances

MAX_GAP = 1e-9
"""Largest relative primal-dual gap, and largest relative violation of a constraint, that a plan may have."""
_MAX_ITERATIONS = 100_000_000
_SMALL_VALUE = 1e-3
"""For values below this share of the independent coupling's cost, the gap is relative to that share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An optimal coupling of two measures and the proof that it is optimal."""

    plan: Float64
    """`(K, n)`: mass sent from row i to column j."""
    value: float
    """Cost of the plan; W2² if the costs are squared distances."""
    dual_a: Float64
    """`(K,)`, centred: its plain mean is 0. A subgradient of `value` in the row weights, also where a weight is 0."""
    dual_b: Float64
    """`(n,)`; takes up the constant, so that `⟨dual_a, a⟩ + ⟨dual_b, b⟩` is the dual value."""
    gap: float
    """|primal − dual| relative to `value`, or to 1/1000 of the independent coupling's cost if that is more."""
    infeasibility: float
    """Largest violation of the marginals (absolute) or of `u_i + v_j ≤ c_ij` (relative to the largest cost)."""


def wasserstein2(
    points_a: Points, points_b: Points, weights_a: Points | None = None, weights_b: Points | None = None
) -> Plan:
    """Return the exact plan between two point clouds for squared Euclidean cost; its `value` is W2² (not W2).

    Args:
        points_a: `(K, D)`, NumPy array or tensor.
        points_b: `(n, D)`, likewise.
        weights_a: `(K,)`, not negative, summing to 1; uniform if None.
        weights_b: `(n,)`, likewise.

    Raises:
        DataError: shapes do not fit, points are not finite, or weights are not a probability vector.
        NumericsError: the solver failed.
    """
    first, second = as_points(points_a, "points_a"), as_points(points_b, "points_b")
    if first.shape[1] != second.shape[1]:
        raise DataError(
            f"both point sets need as many features; got {first.shape[1]} and {second.shape[1]}; give (K, D) and (n, D)"
        )
    masses_a = _as_masses(weights_a, len(first), "weights_a")
    masses_b = _as_masses(weights_b, len(second), "weights_b")
    return transport(squared_distances(first, second), masses_a, masses_b)


def transport(cost: Float64, weights_a: Float64, weights_b: Float64) -> Plan:
    """Solve the transport problem exactly.

    Args:
        cost: `(K, n)`, finite.
        weights_a: `(K,)` in the simplex; zeros are allowed.
        weights_b: `(n,)` in the simplex.

    Raises:
        NumericsError: the cost is not finite, the solver gave up, or its answer is not optimal to `MAX_GAP`.
    """
    if not np.isfinite(cost).all():
        raise NumericsError(
            f"the cost must be finite; got NaN or infinity in a {cost.shape} table; look at the points it was made from"
        )
    masses_a, masses_b = weights_a / weights_a.sum(), weights_b / weights_b.sum()
    scale = max(float(np.abs(cost).max()), np.finfo(np.float64).tiny)
    # POT is faster with the longer side as rows, and its tolerances are absolute: hence transpose and unit scale.
    if cost.shape[0] < cost.shape[1]:
        flow, dual_b = _solve(np.ascontiguousarray(cost.T) / scale, masses_b, masses_a)
        flow = np.ascontiguousarray(flow.T)
    else:
        flow, dual_a = _solve(np.ascontiguousarray(cost) / scale, masses_a, masses_b)
        dual_b = (cost / scale - dual_a[:, None]).min(axis=0)
    return _certified(cost, (masses_a, masses_b), flow=flow, dual_b=dual_b * scale)


def _solve(cost: Float64, masses_rows: Float64, masses_columns: Float64) -> tuple[Float64, Float64]:
    """Return POT's plan and the potentials of its rows."""
    from ot import emd  # seconds to import, and it pulls in every array library that is installed

    flow, log = emd(masses_rows, masses_columns, cost, numItermax=_MAX_ITERATIONS, log=True, check_marginals=False)
    answer: dict[str, Any] = log
    if answer["warning"] is not None:
        raise NumericsError(
            f"the transport solver failed on {cost.shape}; got {str(answer['warning']).strip()!r}; "
            "look for weights that do not sum to 1 or costs of very different size"
        )
    return np.asarray(flow), np.asarray(answer["u"])


def _certified(cost: Float64, masses: tuple[Float64, Float64], *, flow: Float64, dual_b: Float64) -> Plan:
    """Return the plan with feasible, centred duals, or raise if it is not optimal."""
    masses_a, masses_b = masses
    # The c-transform makes the duals feasible whatever the solver returned, and tight for rows without mass.
    dual_a = (cost - dual_b).min(axis=1)
    dual_b = (cost - dual_a[:, None]).min(axis=0)
    centre = dual_a.mean()
    dual_a, dual_b = dual_a - centre, dual_b + centre
    value = float((flow * cost).sum())
    gap = abs(value - float(dual_a @ masses_a + dual_b @ masses_b))
    gap /= max(abs(value), _SMALL_VALUE * float(masses_a @ np.abs(cost) @ masses_b), np.finfo(np.float64).tiny)
    infeasibility = max(
        float(np.abs(flow.sum(axis=1) - masses_a).max()),
        float(np.abs(flow.sum(axis=0) - masses_b).max()),
        float((dual_a[:, None] + dual_b - cost).max()) / max(float(np.abs(cost).max()), np.finfo(np.float64).tiny),
    )
    if not (gap <= MAX_GAP and infeasibility <= MAX_GAP):
        raise NumericsError(
            f"the transport plan is not optimal; got gap {gap:.1e} and violation {infeasibility:.1e}, not <= "
            f"{MAX_GAP:.0e}; look for weights or costs of very different size"
        )
    return Plan(plan=flow, value=value, dual_a=dual_a, dual_b=dual_b, gap=gap, infeasibility=infeasibility)


def _as_masses(weights: Points | None, count: int, name: str) -> Float64:
    """Return weights as a float64 probability vector `(count,)`; uniform for None."""
    if weights is None:
        return np.full(count, 1.0 / count)
    masses = as_points(weights.reshape(1, -1), name)[0]
    total = float(masses.sum())
    if masses.size != count or (masses < 0).any() or abs(total - 1.0) > 1e-6:
        raise DataError(
            f"{name} must be {count} numbers that are not negative and sum to 1; got {masses.size} with minimum "
            f"{masses.min():.3g} and sum {total:.6g}; divide them by their sum"
        )
    return masses / total
