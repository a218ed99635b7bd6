"""An exact transport solver for a few atoms and many points: shortest augmenting paths between atoms.

The dual has one unknown an atom, `max_β Σ_j w_j β_j + Σ_i m_i min_j (c_ij − β_j)`. Every β splits the points into
cells (each point goes to the atom with the least reduced cost `c_ij − β_j`), which is the cheapest plan for the
weights that the cells happen to have. Atoms with too little mass then draw it, piece by piece, along the path that
costs least from an atom with too much. Paths live on a graph with one node *an atom*: edge j → k costs what the
cheapest move of a piece of atom j to atom k costs, `min_{i in cell j} c_ik − c_ij`. β are the node potentials, so edges
never cost less than nothing and Dijkstra's search stops at the first atom that can give mass (Jonker & Volgenant 1987
for the assignment problem; Ahuja, Magnanti & Orlin 1993, section 9.7, for flows). It starts where mass is wanting,
because atoms that few points are nearest to lie far from all others: the search from the other side would settle
everything before it came to them.

Why this and not a network simplex over all n·K arcs: nothing is built or scanned that grows with n·K except one look
at the costs, and a β from a problem nearby, as an alternation of atoms and weights has it at hand, leaves few pieces
to move. Masses are whole numbers of units, 2⁻⁴⁸ of the total, so that paths end exactly and no dust of rounding stays
behind.

Where it does not pay: as many atoms as points, hundreds of atoms, or a start far from the optimum with very uneven
weights; `wmdd.ot.transport` then takes a network simplex.
"""

import numpy as np

from wmdd.ot._cost import Float64
from wmdd.ot._paths import Int64, Pieces, augment, collect

_UNITS = 2.0**48
"""Units that the whole mass is counted in: fine enough for 1e-14 in the marginals, and whole numbers in a float64."""
_TIE = 1e-13
"""Differences of cost below this fraction of the largest cost count as none."""
_PATIENCE = 8
"""Paths per point and atom after which the search is given up; generic problems need less than two."""


def solve(
    cost: Float64, weights: Float64, masses: Float64, *, duals: Float64, scale: float
) -> tuple[Pieces, Float64] | None:
    """Return an optimal plan and the atoms' duals, or None if the search was given up.

    Args:
        cost: `(n, K)`, C-contiguous and finite.
        weights: `(K,)` in the simplex; zeros are allowed.
        masses: `(n,)` in the simplex; zeros are allowed.
        duals: `(K,)`, any; the nearer to the answer, the faster.
        scale: the largest absolute cost.
    """
    supply = np.rint(masses * _UNITS).astype(np.int64)
    total = int(supply.sum())
    demand = _whole_units(weights, total)
    duals = duals.copy()
    limit = _PATIENCE * sum(cost.shape)
    cells, solved = augment(cost, supply, demand, duals, (_TIE * scale, limit))
    if not solved:
        return None
    pieces = collect(cells)
    return Pieces(pieces.atoms, pieces.points, pieces.mass / total), duals


def _whole_units(weights: Float64, total: int) -> Int64:
    """Split `total` units in proportion to the weights, by largest remainder."""
    exact = weights * total
    units = np.floor(exact).astype(np.int64)
    short = total - int(units.sum())
    units[np.argsort(units - exact, kind="stable")[:short]] += 1
    return units
