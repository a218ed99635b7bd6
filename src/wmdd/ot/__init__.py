"""Optimal transport: mathematics only, without networks, images or disks.

In reading order:

- `problem`: points, masses and starting atoms (`seeding`: k-means++; `cost`: checked points and squared distances).
- `plan`: exact transport and its certificate; `solvers` says how it is found, `augmenting_paths` does it.
- `free_support`: the alternation of weights and atoms; `state` is where it stands; `threads` runs many classes.
- `alternatives`: the other solvers of a `Problem`, which the ablation compares.
- `diagnosis`: yardsticks and bounds; `kernel_bounds`: those of MMD.

Shapes: `K` atoms (points of a small set), `n` points (of a large one), `D` features.

Importing this package does not import POT, which only problems too large for our own solver need.
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
    cross_entropy_values,
    random_cost,
)
from wmdd.ot.free_support import barycenter, wasserstein_barycenter
from wmdd.ot.kernel_bounds import KernelCertificate, gaussian_mixture, kernel_certificate, mean_distance
from wmdd.ot.plan import Plan, transport, wasserstein1, wasserstein2
from wmdd.ot.problem import Barycenter, Problem
from wmdd.ot.seeding import kmeans_plus_plus
from wmdd.ot.threads import barycenters, in_threads

__all__ = [
    "KERNEL_WIDTHS",
    "Affine",
    "Barycenter",
    "KernelCertificate",
    "Plan",
    "Problem",
    "affine_gap",
    "affine_lipschitz",
    "barycenter",
    "barycenters",
    "class_mean",
    "cross_entropy_gap",
    "cross_entropy_lipschitz",
    "cross_entropy_values",
    "entropic_barycenter",
    "gaussian_mixture",
    "in_threads",
    "kernel_certificate",
    "kmeans",
    "kmeans_plus_plus",
    "mean_distance",
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
