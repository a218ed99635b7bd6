"""Optimal transport: mathematics only, which knows nothing of networks, images or disks.

`barycenter` (a class's features → atoms and weights), `barycenters` (of many classes, in threads: `in_threads`) ·
`floor` (the cost that k-means reaches from the same start) · `wasserstein2`, `wasserstein1`, `transport` (exact plan,
value and duals) · `squared_distances` · `kmeans_plus_plus` ·
`project_simplex` · `random_cost` · gap and Lipschitz constant of an `Affine`
map and of the cross-entropy behind it.

In place of `barycenter`, with its signature: `sliced_barycenter`, `entropic_barycenter`, `mmd_linear`, `mmd_rbf`,
`class_mean`, `kmeans`. `median_distance` and `KERNEL_WIDTHS`: the widths of the Gaussian kernels.

Importing this package does not import POT; only plans that our own solver does not take need it.
"""

from wmdd.ot._barycenter import barycenter, floor, project_simplex
from wmdd.ot._batch import barycenters, in_threads
from wmdd.ot._cost import squared_distances
from wmdd.ot._diagnosis import (
    Affine,
    affine_gap,
    affine_lipschitz,
    cross_entropy_gap,
    cross_entropy_lipschitz,
    random_cost,
)
from wmdd.ot._plan import Plan, transport, wasserstein1, wasserstein2
from wmdd.ot._problem import Barycenter
from wmdd.ot._seeding import kmeans_plus_plus
from wmdd.ot.alternatives.centres import class_mean, kmeans
from wmdd.ot.alternatives.entropic import entropic_barycenter
from wmdd.ot.alternatives.mmd import KERNEL_WIDTHS, median_distance, mmd_linear, mmd_rbf
from wmdd.ot.alternatives.sliced import sliced_barycenter

__all__ = [
    "KERNEL_WIDTHS",
    "Affine",
    "Barycenter",
    "Plan",
    "affine_gap",
    "affine_lipschitz",
    "barycenter",
    "barycenters",
    "class_mean",
    "cross_entropy_gap",
    "cross_entropy_lipschitz",
    "entropic_barycenter",
    "floor",
    "in_threads",
    "kmeans",
    "kmeans_plus_plus",
    "median_distance",
    "mmd_linear",
    "mmd_rbf",
    "project_simplex",
    "random_cost",
    "sliced_barycenter",
    "squared_distances",
    "transport",
    "wasserstein1",
    "wasserstein2",
]
