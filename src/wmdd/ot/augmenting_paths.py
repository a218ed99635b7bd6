"""Cells of points around atoms, and the shortest augmenting paths between them, as machine code.

`augment` is the loop; `wmdd.ot.solvers` explains it. Compiled functions that call each other stay in this one file,
because Numba's cache checks the file of a function and not those of its callees.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wmdd.ot.compiled import compiled
from wmdd.ot.cost import Float64

Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]

_FEW_LOST = 6
"""Up to this many edges are repaired one by one; beyond it, the whole row is recomputed."""


class Cells(NamedTuple):
    """The pieces of mass that each atom holds, and the cost of moving them elsewhere."""

    members: Int32
    """`(K, n)`: in its first `held[j]` places, the points of which atom j holds a piece."""
    units: Int64
    """`(K, n)`: mass of these pieces."""
    held: Int64
    """`(K,)`: number of these pieces."""
    excess: Int64
    """`(K,)`: mass held beyond the demand."""
    edge: Float64
    """`(K, K)`: cost of the cheapest move from atom j to atom k."""
    via: Int32
    """`(K, K)`: place in `members[j]` of the piece that makes it."""


class Search(NamedTuple):
    """Scratch space of Dijkstra's search; all `(K,)`."""

    distance: Float64
    hops: Int32
    """Edges of the path: among paths of equal cost the shortest, or a degenerate problem takes for ever."""
    after: Int32
    """The next atom on the path."""
    open: Float64
    """The distance of atoms that are reached but not settled; infinite for all others."""
    edge: Float64
    """Edges to the atom being settled."""
    settled: Int64
    """Settled atoms, in order."""


class Pieces(NamedTuple):
    """A sparse plan: `mass[p]` goes from point `points[p]` to atom `atoms[p]`."""

    atoms: Int64
    points: Int64
    mass: Float64


@compiled
def augment(
    cost: Float64, supply: Int64, demand: Int64, duals: Float64, bounds: tuple[float, int]
) -> tuple[Cells, bool]:
    """Move mass until every atom's demand is met; `duals` is changed in place."""
    tie, limit = bounds
    num_atoms = cost.shape[1]
    cells = _first_cells(cost, supply, demand, duals)
    search = Search(
        np.empty(num_atoms),
        np.empty(num_atoms, np.int32),
        np.empty(num_atoms, np.int32),
        np.empty(num_atoms),
        np.empty(num_atoms),
        np.empty(num_atoms, np.int64),
    )
    paths = 0
    for sink in range(num_atoms):
        while cells.excess[sink] < 0:
            paths += 1
            source = _shortest_path(cells, search, duals, sink, tie) if paths <= limit else -1
            if source < 0:
                return cells, False
            _push(cost, cells, search.after, source, sink)
    return cells, True


@compiled
def _first_cells(cost: Float64, supply: Int64, demand: Int64, duals: Float64) -> Cells:
    """Give every point to the atom with the least reduced cost."""
    num_points, num_atoms = cost.shape
    cells = Cells(
        np.empty((num_atoms, num_points), np.int32),
        np.empty((num_atoms, num_points), np.int64),
        np.zeros(num_atoms, np.int64),
        np.empty(num_atoms, np.int64),
        np.empty((num_atoms, num_atoms)),
        np.empty((num_atoms, num_atoms), np.int32),
    )
    for j in range(num_atoms):
        cells.excess[j] = -demand[j]
    for i in range(num_points):
        if supply[i] == 0:
            continue
        owner, least = 0, np.inf
        for j in range(num_atoms):
            reduced = cost[i, j] - duals[j]
            if reduced < least:
                owner, least = j, reduced
        place = cells.held[owner]
        cells.members[owner, place] = i
        cells.units[owner, place] = supply[i]
        cells.held[owner] += 1
        cells.excess[owner] += supply[i]
    for j in range(num_atoms):
        _find_edges(cost, cells, j)
    return cells


@compiled
def _find_edges(cost: Float64, cells: Cells, j: int) -> None:
    edge, via = cells.edge[j], cells.via[j]
    for k in range(len(edge)):
        edge[k], via[k] = np.inf, -1
    for place in range(cells.held[j]):
        i = cells.members[j, place]
        here = cost[i, j]
        for k in range(len(edge)):
            move = cost[i, k] - here
            if move < edge[k]:
                edge[k] = move
                via[k] = place


@compiled
def _find_edge(cost: Float64, cells: Cells, j: int, k: int) -> None:
    least, found = np.inf, -1
    for place in range(cells.held[j]):
        i = cells.members[j, place]
        move = cost[i, k] - cost[i, j]
        if move < least:
            least, found = move, place
    cells.edge[j, k] = least
    cells.via[j, k] = found


@compiled
def _shortest_path(cells: Cells, search: Search, duals: Float64, sink: int, tie: float) -> int:
    """Find the nearest atom with excess mass and make the path from there cost nothing; −1 if there is none."""
    for j in range(len(duals)):
        search.distance[j], search.open[j], search.hops[j] = np.inf, np.inf, 0
    search.distance[sink] = 0.0
    count, here = 0, sink
    while cells.excess[here] <= 0:
        search.settled[count] = here
        count += 1
        for j in range(len(duals)):
            search.edge[j] = cells.edge[j, here]
        _relax(search, duals, here, tie)
        here = _nearest_open(search)
        if here < 0:
            return -1
    for place in range(count):
        j = search.settled[place]
        duals[j] += search.distance[here] - search.distance[j]
    return here


@compiled
def _relax(search: Search, duals: Float64, here: int, tie: float) -> None:
    """Settle an atom: offer all others the path through it. Written without branches, so that it vectorises."""
    distance, hops, after, reach, edge = search.distance, search.hops, search.after, search.open, search.edge
    base = distance[here]
    limit, shift, step = base + tie, base - duals[here], hops[here] + 1
    for j in range(len(edge)):
        offer = edge[j] + duals[j] + shift
        offer = base if offer < limit else offer
        better = (offer < distance[j]) | ((offer == distance[j]) & (step < hops[j]))
        distance[j] = offer if better else distance[j]
        reach[j] = offer if better else reach[j]
        after[j] = here if better else after[j]
        hops[j] = step if better else hops[j]
    reach[here] = np.inf


@compiled
def _nearest_open(search: Search) -> int:
    """Return the next atom to settle; −1 if none can be reached."""
    least, hops, found = np.inf, 0, -1
    for k in range(len(search.open)):
        if search.open[k] < least or (found >= 0 and search.open[k] == least and search.hops[k] < hops):
            least, hops, found = search.open[k], search.hops[k], k
    return found


@compiled
def _push(cost: Float64, cells: Cells, after: Int32, source: int, sink: int) -> None:
    amount = min(cells.excess[source], -cells.excess[sink])
    j = source
    while j != sink:
        amount = min(amount, cells.units[j, cells.via[j, after[j]]])
        j = after[j]
    cells.excess[source] -= amount
    cells.excess[sink] += amount
    j = source
    while j != sink:
        k = after[j]
        place = cells.via[j, k]
        i = cells.members[j, place]
        cells.units[j, place] -= amount
        if cells.units[j, place] == 0:
            _drop(cost, cells, j, place)
        _receive(cost, cells, k, amount, i)
        j = k


@compiled
def _receive(cost: Float64, cells: Cells, k: int, amount: int, i: Any) -> None:
    for place in range(cells.held[k]):
        if cells.members[k, place] == i:
            cells.units[k, place] += amount
            return
    place = cells.held[k]
    cells.members[k, place] = i
    cells.units[k, place] = amount
    cells.held[k] += 1
    edge, via, here = cells.edge[k], cells.via[k], cost[i, k]
    for other in range(len(edge)):
        move = cost[i, other] - here
        if move < edge[other]:
            edge[other] = move
            via[other] = place


@compiled
def _drop(cost: Float64, cells: Cells, j: int, place: int) -> None:
    """Remove an empty piece from atom j; the last one takes its place."""
    cells.held[j] -= 1
    last = cells.held[j]
    cells.members[j, place] = cells.members[j, last]
    cells.units[j, place] = cells.units[j, last]
    via = cells.via[j]
    lost = 0
    for k in range(len(via)):
        lost += via[k] == place
    if lost > _FEW_LOST:
        _find_edges(cost, cells, j)
        return
    for k in range(len(via)):
        if via[k] == place:
            _find_edge(cost, cells, j, k)
        elif via[k] == last:
            via[k] = place


@compiled
def collect(cells: Cells) -> Pieces:
    """Write all pieces one after the other, atom by atom; their mass is still in units."""
    total = 0
    for j in range(len(cells.held)):
        total += cells.held[j]
    atoms, points, mass = np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total)
    at = 0
    for j in range(len(cells.held)):
        for place in range(cells.held[j]):
            atoms[at], points[at], mass[at] = j, cells.members[j, place], cells.units[j, place]
            at += 1
    return Pieces(atoms, points, mass)
