"""Optimal transport: mathematics only, which knows nothing of networks, images or disks.

To read it: `problem` (points, masses and a start) → `plan` (exact transport and its certificate) → `free_support` (the
alternation of weights and atoms) → `diagnosis` (yardsticks and bounds). `alternatives` holds what the ablation
compares.

`barycenter` (a class's features → atoms and weights), `barycenters` (of many classes, in threads: `in_threads`) ·
`wasserstein2`, `wasserstein1`, `transport` (exact plan, value and duals) · `squared_distances` · `kmeans_plus_plus` ·
`random_cost` · gap and Lipschitz constant of an `Affine` map and of the cross-entropy behind it.

Of a `Problem`, made once by `Problem.of`: `wasserstein_barycenter` (what `barycenter` solves), `sliced_barycenter`,
`entropic_barycenter`, `mmd_linear`, `mmd_rbf`, `class_mean`, `kmeans`, and `floor` (the cost that k-means reaches from
the same start). `median_distance` and `KERNEL_WIDTHS`: the widths of the Gaussian kernels.

Importing this package does not import POT; only plans that our own solver does not take need it.
"""

from wmdd.ot.alternatives.centres import class_mean, kmeans
from wmdd.ot.alternatives.entropic import entropic_barycenter
from wmdd.ot.alternatives.mmd import KERNEL_WIDTHS, median_distance, mmd_linear, mmd_rbf
from wmdd.ot.alternatives.sliced import sliced_barycenter
from wmdd.ot.cost import squared_distances
from wmdd.ot.diagnosis import (
    Affine,
    affine_gap,
    affine_lipschitz,
    cross_entropy_gap,
    cross_entropy_lipschitz,
    floor,
    random_cost,
)
from wmdd.ot.free_support import barycenter, wasserstein_barycenter
from wmdd.ot.plan import Plan, transport, wasserstein1, wasserstein2
from wmdd.ot.problem import Barycenter, Problem
from wmdd.ot.seeding import kmeans_plus_plus
from wmdd.ot.threads import barycenters, in_threads

__all__ = [
    "KERNEL_WIDTHS",
    "Affine",
    "Barycenter",
    "Plan",
    "Problem",
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
    "random_cost",
    "sliced_barycenter",
    "squared_distances",
    "transport",
    "wasserstein1",
    "wasserstein2",
    "wasserstein_barycenter",
]
