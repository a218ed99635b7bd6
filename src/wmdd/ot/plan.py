"""The exact transport plan between two weighted sets of points, with its dual potentials as a certificate.

Primal (Kantorovich): `min_T Σ_ij t_ij c_ij` with `T ≥ 0`, row sums `a`, column sums `b`.
Dual: `max_{u,v} ⟨u, a⟩ + ⟨v, b⟩` with `u_i + v_j ≤ c_ij`. At the optimum both agree, and `u` is a subgradient of the
value in `a` (Cuturi & Doucet 2014, section 4).

Whichever solver found it (`wmdd.ot.solvers`), every answer is checked here: a returned `Plan` is feasible and its gap
is at most `MAX_GAP`. Meant for up to some ten thousand points: the cost is dense.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wmdd.errors import DataError, NumericsError
from wmdd.ot.augmenting_paths import Pieces
from wmdd.ot.compiled import compiled
from wmdd.ot.cost import Float64, Points, as_masses, as_points, squared_distances
from wmdd.ot.solvers import solve

MAX_GAP = 1e-9
"""Largest relative primal-dual gap, and largest relative violation of a constraint, that a plan may have."""
_SMALL_VALUE = 1e-3
"""For values below this share of the largest cost, the gap is relative to that share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An optimal coupling of two measures and the proof that it is optimal.

    An optimal plan needs at most K + n − 1 nonzero entries, so only these are kept.
    """

    rows: NDArray[np.int64]
    """`(P,)`: row of each piece of mass."""
    columns: NDArray[np.int64]
    """`(P,)`: its column."""
    mass: Float64
    """`(P,)`: how much goes from row to column."""
    value: float
    """Cost of the plan; W2² if the costs are squared distances."""
    dual_a: Float64
    """`(K,)`, centred: its plain mean is 0. A subgradient of `value` in the row weights, also where a weight is 0."""
    dual_b: Float64
    """`(n,)`; absorbs the constant, so that `⟨dual_a, a⟩ + ⟨dual_b, b⟩` is the dual value. The largest that
    `dual_a` allows, so the duals are feasible by construction."""
    gap: float
    """|primal − dual| relative to `value`, or to 1/1000 of the largest cost if that is larger."""
    infeasibility: float
    """Largest violation of the marginals."""

    @property
    def pieces(self) -> Pieces:
        """The pieces of mass as solvers see them: from points, the columns, to atoms, the rows."""
        return Pieces(self.rows, self.columns, self.mass)

    @property
    def plan(self) -> Float64:
        """The table `(K, n)`: mass sent from row i to column j."""
        table = np.zeros((len(self.dual_a), len(self.dual_b)))
        np.add.at(table, (self.rows, self.columns), self.mass)
        return table


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
    squared, *masses = _checked(points_a, points_b, weights_a, weights_b)
    return transport(squared, *masses)


def wasserstein1(
    points_a: Points, points_b: Points, weights_a: Points | None = None, weights_b: Points | None = None
) -> Plan:
    """Return the exact plan between two point clouds for Euclidean cost; its `value` is W1.

    W1 bounds how far the means of any Lipschitz function differ: `|E_a g − E_b g| ≤ Lip(g) · W1` (Kantorovich and
    Rubinstein). Arguments and errors are those of `wasserstein2`.
    """
    squared, *masses = _checked(points_a, points_b, weights_a, weights_b)
    return transport(np.sqrt(squared), *masses)


def transport(cost: Float64, weights_a: Float64, weights_b: Float64, *, start: Float64 | None = None) -> Plan:
    """Solve the transport problem exactly.

    Args:
        cost: `(K, n)`, finite.
        weights_a: `(K,)` in the simplex; zeros are allowed.
        weights_b: `(n,)` in the simplex.
        start: duals of the shorter side, such as those of a similar problem. They change the time it takes, and which
            of several optimal plans is found, but not the value.

    Raises:
        NumericsError: the cost is not finite, the solvers gave up, or their answer is not optimal to `MAX_GAP`.
    """
    low, high = float(cost.min()), float(cost.max())  # both are NaN if any cost is
    if not (np.isfinite(low) and np.isfinite(high)):
        raise NumericsError(
            f"the cost must be finite; got NaN or infinity in a {cost.shape} table; look at the points it was made from"
        )
    masses = weights_a / weights_a.sum(), weights_b / weights_b.sum()
    scale = max(abs(low), abs(high), np.finfo(np.float64).tiny)
    if cost.shape[0] <= cost.shape[1]:
        pieces, dual_a = solve(np.ascontiguousarray(cost.T), *masses, scale=scale, start=start)
        return _certified(cost, masses, pieces, dual_a=dual_a, scale=scale)
    pieces, dual_b = solve(np.ascontiguousarray(cost), *reversed(masses), scale=scale, start=start)
    turned = Pieces(pieces.points, pieces.atoms, pieces.mass)
    return _certified(cost, masses, turned, dual_a=(cost - dual_b).min(axis=1), scale=scale)


def _certified(
    cost: Float64, masses: tuple[Float64, Float64], pieces: Pieces, *, dual_a: Float64, scale: float
) -> Plan:
    """Return the plan with feasible, centred duals, or raise if it is not optimal."""
    masses_a, masses_b = masses
    value, sums_a, sums_b = _sums(cost.T, pieces)
    dual_a = dual_a - dual_a.mean()
    # The c-transform makes the duals feasible whatever the solver returned, and tight for rows without mass.
    dual_b = _allowed(cost.T, dual_a)
    if sums_a.min() == 0.0:
        idle = np.flatnonzero(sums_a == 0.0)
        dual_a[idle] = (cost[idle] - dual_b).min(axis=1)
        shift = dual_a.mean()
        dual_a, dual_b = dual_a - shift, dual_b + shift
    gap = abs(value - float(dual_a @ masses_a + dual_b @ masses_b)) / max(abs(value), _SMALL_VALUE * scale)
    infeasibility = max(float(np.abs(sums_a - masses_a).max()), float(np.abs(sums_b - masses_b).max()))
    if not (gap <= MAX_GAP and infeasibility <= MAX_GAP):
        raise NumericsError(
            f"the transport plan is not optimal; got gap {gap:.1e} and violation {infeasibility:.1e}, not <= "
            f"{MAX_GAP:.0e}; look for weights or costs of very different size"
        )
    return Plan(
        rows=pieces.atoms,
        columns=pieces.points,
        mass=pieces.mass,
        value=value,
        dual_a=dual_a,
        dual_b=dual_b,
        gap=gap,
        infeasibility=infeasibility,
    )


@compiled
def _sums(cost: Float64, pieces: Pieces) -> tuple[float, Float64, Float64]:
    """Return the total cost of the pieces, from a table `(n, K)`, and the mass of each atom and each point."""
    value, held, sent = 0.0, np.zeros(cost.shape[1]), np.zeros(cost.shape[0])
    for piece in range(len(pieces.mass)):
        j, i, mass = pieces.atoms[piece], pieces.points[piece], pieces.mass[piece]
        value += mass * cost[i, j]
        held[j] += mass
        sent[i] += mass
    return value, held, sent


@compiled
def _allowed(cost: Float64, duals: Float64) -> Float64:
    """Return the largest duals `(n,)` of the points, `min_j c_ij − β_j`, that a cost `(n, K)` and β `(K,)` allow."""
    allowed = np.empty(len(cost))
    for i in range(len(cost)):
        least = np.inf
        for j in range(len(duals)):
            least = min(least, cost[i, j] - duals[j])
        allowed[i] = least
    return allowed


def _checked(
    points_a: Points, points_b: Points, weights_a: Points | None, weights_b: Points | None
) -> tuple[Float64, Float64, Float64]:
    first, second = as_points(points_a, "points_a"), as_points(points_b, "points_b")
    if first.shape[1] != second.shape[1]:
        raise DataError(
            f"both point sets need as many features; got {first.shape[1]} and {second.shape[1]}; give (K, D) and (n, D)"
        )
    masses_a = as_masses(weights_a, len(first), "weights_a")
    masses_b = as_masses(weights_b, len(second), "weights_b")
    return squared_distances(first, second), masses_a, masses_b
