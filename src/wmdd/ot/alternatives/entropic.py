"""Entropic barycenter: exact transport replaced by transport blurred at a temperature ε.

`min over b of OT_ε((1/K) Σ_j δ_{b_j}, (1/n) Σ_i δ_{x_i})` with `OT_ε = min_T Σ_ji t_ji c_ji + ε Σ_ji t_ji log t_ji`
(Cuturi 2013), by the free-support algorithm of Cuturi & Doucet (2014) with its weights held at 1/K. One iteration is

1. plan: Sinkhorn's scalings until the marginals hold;
2. atoms: the barycentric projection `b_j ← K Σ_i t_ji x_i`, the minimum for that plan. OT_ε never goes up.

**Bias.** A blurred plan sends a little of every point to every atom, so atoms are pulled towards the class mean:
they lie closer to it than the exact barycenter's, and atoms closer to each other than about √ε merge into
one. At `ε > 2 λ`, λ the largest eigenvalue of the points' covariance, all of them at the class mean is a fixed point
that attracts: for atoms near the mean, `t_ji ≈ (1 + 2⟨b_j, x_i⟩ / ε) / (K n)`, so one iteration multiplies them by
`(2 / ε) Cov`. (It is the critical temperature of deterministic annealing: Rose, Gurewitz & Fox 1990.) As ε → 0 the
bias vanishes and the iteration is that of `barycenter(weights="uniform")`, at a price of about 1/ε sweeps.

**ε is given as a share of 2 λ**, so it depends on neither the scale nor the number of features: at 1 nothing but the
class mean is left. The default, 0.05, makes the bias small while sweeps are still few: on features of Imagenette ten
iterations ended at or below the W2² of ten exact ones with equal weights, since blur also helps atoms out of poor
local minima.
"""

from collections.abc import Iterator

import numpy as np
from scipy.special import logsumexp

from wmdd.errors import ConfigError, NumericsError
from wmdd.ot.alternatives.following import follow
from wmdd.ot.cost import Float64, squared_distances
from wmdd.ot.problem import Barycenter, Problem

_SWEEPS = 10
"""Plain scalings between two in the log domain: few enough that what underflowed could not have counted."""
_ROUNDS = 10_000


def entropic_barycenter(
    problem: Problem, *, iterations: int = 10, epsilon: float = 0.05, tolerance: float = 1e-4
) -> Barycenter:
    """Return K atoms of weight 1/K that are near the points in entropic transport.

    Where it does not apply: where atoms should differ by less than the blur, as with many atoms for a class that varies
    mostly along a few directions; and where the spread of the class should be kept. Weights are not learned.

    Args:
        problem: one measure.
        iterations: largest number of plans; each takes O(K n) per sweep and O(K n D) besides.
        epsilon: ε as a share of twice the largest eigenvalue of the points' covariance.
        tolerance: share of the mass that a plan may send to the wrong points; atoms always get 1/K.

    Raises:
        NumericsError: also if Sinkhorn did not reach `tolerance`.
    """
    if not (0.0 < epsilon < np.inf and 0.0 < tolerance < 1.0):
        raise ConfigError(
            f"epsilon must be positive and tolerance between 0 and 1; got {epsilon} and {tolerance}; "
            "defaults are 0.05 and 1e-4"
        )
    return follow(problem, _moves(problem, epsilon * critical_temperature(problem.points), tolerance), iterations)


def critical_temperature(points: Float64) -> float:
    """Return 2 λ of centred points `(n, D)`, positive: above it all atoms collapse into the mean."""
    tall = points if len(points) >= points.shape[1] else points.T
    largest = float(np.linalg.eigvalsh(tall.T @ tall)[-1]) / len(points)
    return max(2.0 * largest, float(np.finfo(np.float64).tiny))


def _moves(problem: Problem, epsilon: float, tolerance: float) -> Iterator[Float64]:
    """Yield the atoms after each plan; a plan starts from the potentials of the one before."""
    atoms, potentials = problem.atoms, np.zeros(len(problem.points))
    weights = np.full(len(atoms), 1.0 / len(atoms))
    while True:
        cost = squared_distances(atoms, problem.points) / epsilon
        plan, potentials = sinkhorn(cost, (weights, problem.masses), potentials, tolerance)
        atoms = (plan @ problem.points) / weights[:, None]
        yield atoms


def sinkhorn(
    cost: Float64, marginals: tuple[Float64, Float64], potentials: Float64, tolerance: float
) -> tuple[Float64, Float64]:
    """Return the plan of `min Σ t c + Σ t log t` and the potentials of its columns, both at unit temperature.

    A round is one sweep in the log domain, which is safe at any cost, and some plain scalings of the kernel it leaves,
    each a fortieth of the price (stabilised as in Schmitzer 2019). A row or column of a kernel with total mass 1 and
    the other marginal exact holds at least the smallest product of two masses, so nothing is divided by 0.

    Args:
        cost: `(K, n)`, divided by ε.
        marginals: `(K,)` and `(n,)`, positive, each summing to 1. Rows hold exactly, columns to `tolerance`.
        potentials: `(n,)`, a guess.
        tolerance: half the sum of the absolute errors of the columns.

    Raises:
        NumericsError: the columns are still off after 110,000 sweeps.
    """
    rows, columns = marginals
    cost = cost - cost.min(axis=1, keepdims=True)  # a constant in a row changes no plan, only digits
    error = np.inf
    for _ in range(_ROUNDS):
        heights = np.log(rows) - logsumexp(potentials - cost, axis=1)
        potentials = np.log(columns) - logsumexp(heights[:, None] - cost, axis=0)
        kernel = np.exp(heights[:, None] + potentials - cost)
        across = np.ones(len(columns))
        for _ in range(_SWEEPS):
            down = rows / (kernel @ across)
            across = columns / (down @ kernel)
        plan = (rows / (kernel @ across))[:, None] * kernel * across
        potentials = potentials + np.log(across)
        error = 0.5 * float(np.abs(plan.sum(axis=0) - columns).sum())
        if error <= tolerance:
            return plan, potentials
    raise NumericsError(
        f"Sinkhorn's plan does not hold its marginals; got {error:.1e} of the mass in wrong places after "
        f"{_ROUNDS * (_SWEEPS + 1)} sweeps, not <= {tolerance:g}; raise epsilon or tolerance"
    )
