"""The barycenter problem (points, their masses, and starting atoms), and its solution.

A `Problem` is made once and passed to every solver to be compared on it: `wasserstein_barycenter`, and those of
`wmdd.ot.alternatives`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wmdd.errors import ConfigError, DataError
from wmdd.ot.cost import Cloud, Float64, Points, as_masses, as_points, quick_distances
from wmdd.ot.seeding import seed_positions

WEIGHTLESS = 1e-14
"""Points with less than this share of the whole mass are left out: a plan cannot tell them from none."""
Measures = Points | Sequence[Points]
"""One table of points, or several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Barycenter:
    """K weighted atoms, and how they were found."""

    atoms: Float64
    """`(K, D)`."""
    weights: Float64
    """`(K,)`, in the simplex."""
    cost: float
    """W2² between the atoms with these weights and the points, in squared feature units: the last of `trace`."""
    trace: tuple[float, ...]
    """Cost of the best atoms so far after each iteration."""
    converged: bool
    """True if the last iteration changed nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Checked points and starting atoms, relative to the points' mean: no digits are lost far from the origin."""

    cloud: Cloud
    """The points, `(n, D)`, those of several measures one after the other."""
    masses: Float64
    """`(n,)`, positive and summing to 1: the share of its measure times the point's mass in it."""
    measures: tuple[slice, ...]
    """The points of each measure."""
    shares: Float64
    """One for each measure; they sum to 1."""
    atoms: Float64
    """`(K, D)`."""
    distances: Float64
    """`(K, n)`, squared, from these atoms to the points: every solver begins with them."""
    seed: int
    """Of everything random in stating and solving the problem."""

    @classmethod
    def of(
        cls,
        points: Measures,
        num_atoms: int,
        *,
        start: str | Points = "kmeans++",
        seed: int = 0,
        masses: Measures | None = None,
        shares: Points | None = None,
    ) -> "Problem":
        """Check the input of a barycenter and find the starting atoms; arguments and errors as in `barycenter`."""
        tables, weights, shares_of = _measures(points, masses, shares)
        table, mass = (np.concatenate(each) if len(each) > 1 else each[0] for each in (tables, weights))
        if not 1 <= num_atoms <= len(table):
            raise DataError(
                f"a barycenter needs 1 atom or more, and as many points; got {num_atoms} atoms for {len(table)} "
                "points; lower the number of atoms (images per class) or add points"
            )
        cloud = Cloud.about(mass @ table, table)
        atoms = _starting_atoms(start, cloud, mass, num_atoms, seed)
        ends = [int(end) for end in np.cumsum([len(each) for each in tables])]
        slices = tuple(slice(end - len(each), end) for end, each in zip(ends, tables, strict=True))
        return cls(
            cloud=cloud,
            masses=mass,
            measures=slices,
            shares=shares_of,
            atoms=atoms,
            distances=quick_distances(atoms, cloud),
            seed=seed,
        )

    @property
    def points(self) -> Float64:
        """`(n, D)`."""
        return self.cloud.points

    @property
    def lightest(self) -> float:
        """The smallest mass of a point."""
        return float(self.masses.min())


def _measures(
    points: Measures, masses: Measures | None, shares: Points | None
) -> tuple[list[Float64], list[Float64], Float64]:
    """Return the points that have mass, their masses times the share of their measure, and the shares."""
    tables = [as_points(each) for each in _listed(points)]
    given: Sequence[Points | None] = [None] * len(tables) if masses is None else _listed(masses)
    if len(given) != len(tables) or len({table.shape[1] for table in tables}) != 1:
        raise DataError(
            f"several measures need as many features each, and masses for each; got points of shapes "
            f"{[table.shape for table in tables]} and {len(given)} lists of masses; give one (n, D) and one (n,) each"
        )
    share_of = as_masses(shares, len(tables), "shares")
    if (share_of == 0).any():
        raise DataError(f"shares of measures must be positive; got {share_of.min():g}; leave those measures out")
    weights = [as_masses(each, len(table), "masses") for each, table in zip(given, tables, strict=True)]
    weights = [share * mass for share, mass in zip(share_of, weights, strict=True)]
    for at, mass in enumerate(weights):
        if mass.min() <= WEIGHTLESS:
            tables[at], weights[at] = tables[at][mass > WEIGHTLESS], mass[mass > WEIGHTLESS]
    return tables, weights, share_of


def _listed(value: Measures) -> Sequence[Points]:
    return value if isinstance(value, Sequence) else [value]


def _starting_atoms(start: str | Points, cloud: Cloud, masses: Float64, num_atoms: int, seed: int) -> Float64:
    """Return the atoms `(K, D)` that `start` names or is, relative to the mean of the cloud."""
    if isinstance(start, str):
        generator = np.random.default_rng(seed)
        if start == "kmeans++":
            return cloud.points[seed_positions(cloud, masses, num_atoms, generator)]
        if start == "points":
            return cloud.points[generator.choice(len(masses), num_atoms, replace=False)]
        raise ConfigError(
            f"unknown start of a barycenter; got {start!r}; give 'kmeans++', 'points' or an array of atoms"
        )
    atoms, wanted = as_points(start, "start"), (num_atoms, len(cloud.centre))
    if atoms.shape != wanted:
        raise ConfigError(f"the start must hold one atom a row; got shape {atoms.shape}; give {wanted}")
    return atoms - cloud.centre
