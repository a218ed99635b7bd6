"""Sliced barycenter: K equal atoms that are nearest to the points in W2 averaged over one-dimensional projections.

`min over b of SW2² = mean over unit vectors θ of W2²((1/K) Σ_j δ_⟨θ, b_j⟩, (1/n) Σ_i δ_⟨θ, x_i⟩)` (Rabin, Peyré,
Delon & Bernot 2011; Bonneel, Rabin, Peyré & Pfister 2015). In one dimension transport is sorting: the atom of rank r
gets the slice of mass from r/K to (r + 1)/K of the sorted points, and its optimum is that slice's mean. K need not
divide n: a point at the border of two slices is shared by them in proportion.

Each iteration draws an orthonormal frame Θ of L directions, uniformly among all, and moves every atom by a step
along `Σ_θ θ (m_θ − ⟨θ, b⟩)`, where m_θ is the mean of its slice. With the slices held and L = D that is Newton's
direction: the Hessian is a multiple of the identity.

Where we differ from both papers, which take one fixed set of directions or plain gradient steps:

- **The step** is 1 for the first whole frame and falls as 1/√(frames drawn so far). A full step fits the last frame
  and forgets the others: on features of Imagenette, K = 10, SW2² over fresh directions then rose from the second frame
  on. Steps of 1/frames take too long to forget the ranks that atoms had at first.
- **L** is at most `directions`: a whole frame costs O(D³) to draw. The step then counts in whole frames.

Shapes: `K` atoms, `n` points, `D` features, `L` directions.
"""

from collections.abc import Iterator
from itertools import count

import numpy as np

from wmdd.errors import ConfigError
from wmdd.ot.alternatives.following import follow
from wmdd.ot.cost import Float64
from wmdd.ot.problem import Barycenter, Problem


def sliced_barycenter(problem: Problem, *, iterations: int = 10, directions: int = 512) -> Barycenter:
    """Return K atoms of weight 1/K that are near the points in the sliced Wasserstein distance.

    Where it does not apply: with fewer atoms than features. K points can look like the class along every single
    direction only if they are spread as widely as it is, so atoms end as far out as points are, not at group means,
    and W2² can exceed that of the class mean alone. Weights are not learned.

    Frames are drawn from the problem's seed, one per iteration, with at most `directions` each; a frame costs
    O(D L² + n D L + n L log n). They are random, so the result is `converged` only where all frames agree: for one
    feature, for one atom, or where the atoms are exact.
    """
    if directions < 1:
        raise ConfigError(f"directions must be >= 1; got {directions}; the default is 512")
    generator = np.random.default_rng(problem.seed).spawn(1)[0]  # not the stream that drew the start
    return follow(problem, _moves(problem, min(directions, problem.points.shape[1]), generator), iterations)


def _moves(problem: Problem, directions: int, generator: np.random.Generator) -> Iterator[Float64]:
    atoms, features = problem.atoms, problem.points.shape[1]
    slices = slice_means(len(atoms), len(problem.points))
    for drawn in count(1):
        frame = draw_frame(features, directions, generator)
        projected = frame.T @ atoms.T  # (L, K)
        means = np.sort(frame.T @ problem.points.T, axis=1) @ slices.T
        offsets = np.empty_like(projected)
        order = projected.argsort(axis=1, kind="stable")
        np.put_along_axis(offsets, order, means - np.take_along_axis(projected, order, axis=1), axis=1)
        step = min(1.0, features / (directions * drawn)) ** 0.5
        atoms = atoms + step * (frame @ offsets).T
        yield atoms


def slice_means(num_atoms: int, num_points: int) -> Float64:
    """Return the table `(K, n)` that maps sorted values to the means of K slices of equal mass.

    It is K times the optimal plan in one dimension. In units of 1/(n K), slice r covers [r n, (r + 1) n] and point i
    covers [i K, (i + 1) K], so the overlaps are whole numbers.
    """
    slices, points = np.arange(num_atoms)[:, None], np.arange(num_points)
    ends = np.minimum((slices + 1) * num_points, (points + 1) * num_atoms)
    starts = np.maximum(slices * num_points, points * num_atoms)
    return np.maximum(ends - starts, 0) / num_points


def draw_frame(features: int, directions: int, generator: np.random.Generator) -> Float64:
    """Return orthonormal columns `(D, L)`, uniformly distributed: Q of a Gaussian matrix's QR with positive diagonal.

    Without the signs the distribution would depend on how the library computes QR (Mezzadri 2007).
    """
    frame, triangle = np.linalg.qr(generator.normal(size=(features, directions)))
    return frame * np.copysign(1.0, np.diag(triangle))
