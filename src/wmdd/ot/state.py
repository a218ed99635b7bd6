"""The state of an alternation: atoms, the mass sent to each, and the move of the atoms to that mass."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wmdd.ot.augmenting_paths import Pieces
from wmdd.ot.compiled import compiled
from wmdd.ot.cost import Float64, squared_norms
from wmdd.ot.plan import Plan, transport
from wmdd.ot.problem import Problem

EMPTY = 1e-6
"""An atom with less mass than this fraction of the lightest point's counts as empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one iteration passes to the next."""

    atoms: Float64
    """`(K, D)`."""
    weights: Float64
    """`(K,)`."""
    distances: Float64
    """`(K, n)`, squared, of these atoms."""
    pieces: Pieces
    """The cheapest plan for these atoms and weights."""
    sums: Float64
    """`(K, D)`, `Σ_i t_ji x_i`."""
    held: Float64
    """`(K,)`, `Σ_i t_ji`: the weights, but for rounding."""
    cost: float
    """Cost of the plan: W2² of these atoms and weights."""
    plans: tuple[Plan, ...] = ()
    """The same plan for each measure, with its duals; none where every point goes to its nearest atom."""


def _state_of(
    problem: Problem,
    atoms: Float64,
    weights: Float64,
    *,
    distances: Float64,
    pieces: Pieces,
    plans: tuple[Plan, ...] = (),
    before: State | None = None,
) -> State:
    """Return the state of atoms `(K, D)` whose cheapest plan is known.

    The cost is that of the plan in double precision, whatever the precision of the distances:
    `Σ_i m_i ‖x_i‖² + Σ_j w_j ‖b_j‖² − 2 Σ_j ⟨b_j, Σ_i t_ji x_i⟩`. With an earlier state `before`, only the points that
    changed atoms are visited.
    """
    if before is None:
        sums, held = _mass_sums(problem.points, pieces, len(atoms))
    else:
        sums, held = _changed_sums(problem.points, before.sums, before.pieces, pieces)
    spread = problem.masses @ problem.cloud.norms + held @ squared_norms(atoms)
    cost = max(float(spread) - 2.0 * float(np.vdot(atoms, sums)), 0.0)
    return State(
        atoms=atoms, weights=weights, distances=distances, pieces=pieces, sums=sums, held=held, cost=cost, plans=plans
    )


def cluster(problem: Problem, atoms: Float64, distances: Float64, before: State | None = None) -> State:
    """Return the state that sends every point to the nearest of the atoms `(K, D)`: the best if weights are free.

    Its cost is inertia / n where all points weigh the same. `distances` are those of the atoms, `(K, n)`, squared.
    """
    owner = distances.argmin(axis=0)
    weights = np.bincount(owner, problem.masses, len(atoms))
    pieces = Pieces(owner, np.arange(len(owner)), problem.masses)
    return _state_of(problem, atoms, weights / weights.sum(), distances=distances, pieces=pieces, before=before)


def transported(
    problem: Problem,
    atoms: Float64,
    weights: Float64,
    *,
    distances: Float64,
    duals: Sequence[Float64] = (),
    before: State | None = None,
) -> State:
    """Return the state of atoms and weights after finding their cheapest plan, by a search from `duals`."""
    plans = plans_of(problem, weights, distances, duals)
    pieces = _joined(problem, plans)
    return _state_of(problem, atoms, weights, distances=distances, pieces=pieces, plans=plans, before=before)


def plans_of(problem: Problem, weights: Float64, distances: Float64, duals: Sequence[Float64]) -> tuple[Plan, ...]:
    """Solve the transport problem of every measure, starting from its duals if given."""
    starts = duals or [None] * len(problem.measures)
    return tuple(
        transport(distances[:, measure], weights, problem.masses[measure], start=start)
        for measure, start in zip(problem.measures, starts, strict=True)
    )


def _joined(problem: Problem, plans: tuple[Plan, ...]) -> Pieces:
    if len(plans) == 1:
        return plans[0].pieces
    starts = [measure.start for measure in problem.measures]
    return Pieces(
        np.concatenate([plan.rows for plan in plans]),
        np.concatenate([plan.columns + start for start, plan in zip(starts, plans, strict=True)]),
        np.concatenate([share * plan.mass for share, plan in zip(problem.shares, plans, strict=True)]),
    )


def total_cost(problem: Problem, plans: tuple[Plan, ...]) -> float:
    """Return the total cost of the plans, `Σ_s λ_s W2²`."""
    return float(problem.shares @ np.array([plan.value for plan in plans]))


def move_atoms(problem: Problem, state: State) -> tuple[Float64, Float64]:
    """Return atoms and weights after the one-step Newton update for the state's plan.

    `b_j ← b_j − (1/w_j) Σ_i t_ji (b_j − x_i)`: the objective is quadratic in `b_j` with Hessian `2 w_j I`, so the
    step lands on the mean of the mass sent to atom j, which is computed directly. Atoms without mass are re-seeded
    first (see `feed_empty`).
    """
    sums, held, least = state.sums, state.held, EMPTY * problem.lightest
    if held.min() <= least:
        sums, held = _mass_sums(problem.points, feed_empty(state.pieces, state.distances, least), len(sums))
    return sums / held[:, None], held / held.sum()


def feed_empty(pieces: Pieces, distances: Float64, least: float) -> Pieces:
    """Return the plan after giving every empty atom (mass `least` or less) the piece that costs most where it now goes.

    Moving the atom onto that piece lowers the cost, so re-seeding never undoes progress. Deterministic; needs K ≤ n.
    The very same plan is returned if no atom is empty.
    """
    atoms, points, mass = pieces
    held = np.bincount(atoms, mass, len(distances))
    empty = np.flatnonzero(held <= least)
    if empty.size == 0:
        return pieces
    atoms, costs = atoms.copy(), mass * distances[atoms, points]
    for atom in empty:
        # A donor must keep some mass; one that can exists, since fewer atoms than points hold all of it.
        can_give = (mass > least) & (held[atoms] - mass > least)
        piece = np.where(can_give, costs, -1.0).argmax()
        held[atoms[piece]] -= mass[piece]
        held[atom] += mass[piece]
        atoms[piece] = atom
    return Pieces(atoms, points, mass)


@compiled
def _mass_sums(points: Float64, pieces: Pieces, num_atoms: int) -> tuple[Float64, Float64]:
    """Return `Σ_i t_ji x_i`, `(K, D)`, and `Σ_i t_ji`, `(K,)`."""
    sums, held = np.zeros((num_atoms, points.shape[1])), np.zeros(num_atoms)
    for piece in range(len(pieces.mass)):
        j, i, mass = pieces.atoms[piece], pieces.points[piece], pieces.mass[piece]
        held[j] += mass
        for d in range(points.shape[1]):
            sums[j, d] += mass * points[i, d]
    return sums, held


@compiled
def _changed_sums(points: Float64, sums: Float64, before: Pieces, now: Pieces) -> tuple[Float64, Float64]:
    """Return what `_mass_sums` does for the pieces `now`, from the sums of those `before`."""
    sums, held = sums.copy(), np.zeros(len(sums))
    owner, whole = np.empty(len(points), np.int64), np.zeros(len(points))
    for i in range(len(points)):
        owner[i] = -1
    for piece in range(len(before.mass)):
        i = before.points[piece]
        owner[i] = before.atoms[piece] if owner[i] == -1 else -2  # -2: split between several atoms
        whole[i] = before.mass[piece]
    for piece in range(len(now.mass)):
        j, i, mass = now.atoms[piece], now.points[piece], now.mass[piece]
        held[j] += mass
        if owner[i] == j and whole[i] == mass:
            owner[i] = -3  # unchanged
        else:
            for d in range(points.shape[1]):
                sums[j, d] += mass * points[i, d]
    for piece in range(len(before.mass)):
        j, i, mass = before.atoms[piece], before.points[piece], before.mass[piece]
        if owner[i] != -3:
            for d in range(points.shape[1]):
                sums[j, d] -= mass * points[i, d]
    return sums, held


@compiled
def mean_change(pieces: Pieces, before: Float64, now: Float64) -> Float64:
    """Return the mean change of cost, from `before` to `now` `(n, K)`, of each atom's mass, `(K,)`; 0 without mass."""
    change, held = np.zeros(now.shape[1]), np.zeros(now.shape[1])
    for piece in range(len(pieces.mass)):
        j, i, mass = pieces.atoms[piece], pieces.points[piece], pieces.mass[piece]
        change[j] += mass * (now[i, j] - before[i, j])
        held[j] += mass
    for j in range(len(held)):  # a loop: `np.where` alone would take as long to compile as all the rest
        if held[j] > 0.0:
            change[j] /= held[j]
    return change
