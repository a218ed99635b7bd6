"""The two exact transport solvers, and how to choose between them.

**Augmenting paths between atoms** (`semidiscrete`), for few atoms and many points. The dual has one unknown per atom,
`max_β Σ_j w_j β_j + Σ_i m_i min_j (c_ij − β_j)`. Every β splits the points into cells (each point goes to the atom with
the least reduced cost `c_ij − β_j`), which is the cheapest plan for the weights that the cells happen to have. Atoms
with too little mass then draw it, piece by piece, along the cheapest path from an atom with too much. Paths live on a
graph with one node *per atom*: edge j → k costs as much as the cheapest move of a piece from atom j to atom k,
`min_{i in cell j} c_ik − c_ij`. β are the node potentials, so edges have no negative cost and Dijkstra's search stops
at the first atom that can give mass (Jonker & Volgenant 1987 for the assignment problem; Ahuja, Magnanti & Orlin 1993,
section 9.7, for flows). It starts where mass is missing, because atoms with few points in their cells are far from
all others: a search from the other side would settle everything before it reached them.

Why not a network simplex over all n·K arcs: nothing here grows with n·K except one pass over the costs, and a β from a
similar problem, which an alternation of atoms and weights has at hand, leaves few pieces to move. Masses are whole
numbers of units, 2⁻⁴⁸ of the total, so that paths end exactly and rounding leaves no residue.

**The network simplex** of POT (`network_simplex`), where the first does not pay: as many atoms as points, hundreds of
atoms, or a start far from the optimum with very uneven weights. POT signals failure by a warning and a plan of zeros.
"""

from typing import Any

import numpy as np

from wmdd.errors import NumericsError
from wmdd.ot.augmenting_paths import Int64, Pieces, augment, collect
from wmdd.ot.cost import Float64

_FEW_ATOMS = 128
_MANY_POINTS = 2
"""With at most 128 atoms and at least two points for each, augmenting paths beat the network simplex."""
_UNITS = 2.0**48
"""Units of the whole mass: fine enough for 1e-14 in the marginals, and whole numbers in a float64."""
_TIE = 1e-13
"""Differences of cost below this fraction of the largest cost count as none."""
_PATIENCE = 8
"""Paths per point and atom after which the search gives up; generic problems need fewer than two."""
_MAX_ITERATIONS = 100_000_000


def solve(
    cost: Float64, weights: Float64, masses: Float64, *, scale: float, start: Float64 | None = None
) -> tuple[Pieces, Float64]:
    """Return an optimal plan and the atoms' duals `(K,)`.

    Args:
        cost: `(n, K)`, C-contiguous and finite, K ≤ n.
        weights: `(K,)` in the simplex; zeros are allowed.
        masses: `(n,)` in the simplex; zeros are allowed.
        scale: the largest absolute cost.
        start: any duals `(K,)`; the nearer to the answer, the faster.

    Raises:
        NumericsError: both solvers gave up.
    """
    num_points, num_atoms = cost.shape
    if num_atoms <= _FEW_ATOMS and num_points >= _MANY_POINTS * num_atoms:
        duals = np.zeros(num_atoms) if start is None else start
        found = semidiscrete(cost, weights, masses, duals=duals, scale=scale)
        if found is not None:
            return found
    return network_simplex(cost, weights, masses, scale)


def semidiscrete(
    cost: Float64, weights: Float64, masses: Float64, *, duals: Float64, scale: float
) -> tuple[Pieces, Float64] | None:
    """Return what `solve` does, by augmenting paths that start from `duals`, or None if the search gave up."""
    supply = np.rint(masses * _UNITS).astype(np.int64)
    total = int(supply.sum())
    duals = duals.copy()
    bounds = _TIE * scale, _PATIENCE * sum(cost.shape)
    cells, solved = augment(cost, supply, whole_units(weights, total), duals, bounds)
    if not solved:
        return None
    pieces = collect(cells)
    return Pieces(pieces.atoms, pieces.points, pieces.mass / total), duals


def whole_units(weights: Float64, total: int) -> Int64:
    """Split `total` units in proportion to the weights, by largest remainder."""
    exact = weights * total
    units = np.floor(exact).astype(np.int64)
    short = total - int(units.sum())
    units[np.argsort(units - exact, kind="stable")[:short]] += 1
    return units


def network_simplex(cost: Float64, weights: Float64, masses: Float64, scale: float) -> tuple[Pieces, Float64]:
    """Return what `solve` does, by POT. Its tolerances are absolute, hence the unit scale.

    Raises:
        NumericsError: POT gave up.
    """
    from ot import emd  # seconds to import, and it pulls in every array library that is installed

    flow, log = emd(masses, weights, cost / scale, numItermax=_MAX_ITERATIONS, log=True, check_marginals=False)
    answer: dict[str, Any] = log
    if answer["warning"] is not None:
        raise NumericsError(
            f"the transport solver failed on {cost.shape}; got {str(answer['warning']).strip()!r}; "
            "look for weights that do not sum to 1 or costs of very different size"
        )
    points, atoms = np.nonzero(flow)
    # Only the row potentials are reliable; those of the atoms follow from them, even for atoms without mass.
    duals = (cost - np.asarray(answer["u"])[:, None] * scale).min(axis=0)
    return Pieces(atoms, points, np.asarray(flow)[points, atoms]), duals
