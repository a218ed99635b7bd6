"""Optimal transport and moments: mathematics only, which knows nothing of networks, images or disks.

`barycenter` (a class's features → atoms and weights) · `floor` (the cost that k-means reaches from the same start) ·
`wasserstein2` and `transport` (exact plan, value and duals) · `squared_distances` · `kmeans_plus_plus` ·
`project_simplex` · `Moments` (mergeable mean and variance).

Importing this package does not import POT; the first plan does.
"""

from wmdd.ot._barycenter import Barycenter, barycenter, floor, project_simplex
from wmdd.ot._cost import squared_distances
from wmdd.ot._kmeans import kmeans_plus_plus
from wmdd.ot._moments import Moments
from wmdd.ot._plan import Plan, transport, wasserstein2

__all__ = [
    "Barycenter",
    "Moments",
    "Plan",
    "barycenter",
    "floor",
    "kmeans_plus_plus",
    "project_simplex",
    "squared_distances",
    "transport",
    "wasserstein2",
]
