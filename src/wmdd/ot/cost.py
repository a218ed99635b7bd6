"""Points and masses as callers pass them, and the squared Euclidean cost between two sets of points.

Shapes: `K` atoms or points of the first set, `n` points of the second, `D` features. Cost tables have the shape
`(K, n)` and are stored point by point, the order in which solvers and Lloyd's iteration read them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from wmdd.errors import DataError
from wmdd.ot.compiled import compiled

Float64 = NDArray[np.float64]
Points = NDArray[np.floating] | torch.Tensor
"""What callers may pass: a NumPy array, or a tensor of any floating type on any device."""

_BLOCK = 4096
"""Points of the second set that are centred and multiplied at once."""
_NEAR = 1e-6
"""Below this fraction of the squared norms the expansion loses too many digits, so the difference itself is squared."""
_NEAR_SINGLE = 1e-3
"""The same for products in single precision."""


def as_points(points: Points, name: str = "points") -> Float64:
    """Return points as a finite float64 array `(n, D)` on the CPU.

    Raises:
        DataError: not two-dimensional, empty, or holding NaN or infinity.
    """
    if isinstance(points, torch.Tensor):
        points = points.detach().cpu().double().numpy()
    array = np.ascontiguousarray(points, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise DataError(
            f"{name} must be a table with one point a row; got shape {array.shape}; give (points, features)"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        sound = np.isfinite(array.sum())  # one pass in the usual case: a finite sum has only finite terms
    bad = np.empty(0) if sound else np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise DataError(
            f"{name} must be finite; got NaN or infinity in {bad.size} of {len(array)} rows, first in row {bad[0]}; "
            "remove those rows or repair what made them"
        )
    return array


def as_masses(weights: Points | None, count: int, name: str) -> Float64:
    """Return weights as a float64 probability vector `(count,)`; uniform for None."""
    if weights is None:
        return np.full(count, 1.0 / count)
    masses = as_points(weights.reshape(1, -1), name)[0]
    total = float(masses.sum())
    if masses.size != count or (masses < 0).any() or abs(total - 1.0) > 1e-6:
        raise DataError(
            f"{name} must be {count} numbers that are not negative and sum to 1; got {masses.size} with minimum "
            f"{masses.min():.3g} and sum {total:.6g}; divide them by their sum"
        )
    return masses / total


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Points relative to their mean, prepared for many cost tables against moving atoms."""

    points: Float64
    """`(n, D)`."""
    centre: Float64
    """`(D,)`; to be added to get the original points."""
    norms: Float64
    """`(n,)`, squared."""
    single: NDArray[np.float32]
    """`(n, D)`: the points in single precision, in units of `unit`."""
    unit: float
    """A power of two near the largest norm, so that nothing overflows or vanishes in single precision."""

    @classmethod
    def about(cls, centre: Float64, points: Float64) -> "Cloud":
        """Return the cloud of `points − centre`, for a centre near the mean; the points `(n, D)` are not changed."""
        centred, norms = _centred(points, centre)
        largest = float(norms.max())
        unit = float(2.0 ** np.ceil(np.log2(largest) / 2.0)) if largest > 0.0 else 1.0
        return cls(points=centred, centre=centre, norms=norms, single=_in_units(centred, 1.0 / unit), unit=unit)


def squared_norms(points: Float64) -> Float64:
    """Return `‖x_i‖²`, `(n,)`."""
    return np.einsum("id,id->i", points, points)


def squared_distances(points_a: Float64, points_b: Float64) -> Float64:
    """Return `‖a_i − b_j‖²` as float64 `(K, n)`, never negative, and exactly 0 for equal points.

    The expansion `‖a‖² + ‖b‖² − 2⟨a, b⟩` is taken about the mean of the second set, so that features far from the
    origin lose no digits. Besides the result, memory is that of the points `(K, D)` and of a block of the `(n, D)`.
    """
    centre = np.mean(points_b, axis=0, dtype=np.float64)
    left = np.asarray(points_a, dtype=np.float64) - centre
    result = np.empty((len(points_b), len(points_a)))
    for start in range(0, len(points_b), _BLOCK):
        right = np.asarray(points_b[start : start + _BLOCK], dtype=np.float64) - centre
        block = result[start : start + _BLOCK]
        _expand(block, right @ left.T, (left, right), (squared_norms(left), squared_norms(right)), (1.0, _NEAR))
    return result.T


def exact_distances(atoms: Float64, cloud: Cloud) -> Float64:
    """Return what `squared_distances` does, `(K, n)`, for atoms and points relative to the same centre."""
    result = np.empty((len(cloud.points), len(atoms)))
    norms = squared_norms(atoms), cloud.norms
    _expand(result, cloud.points @ atoms.T, (atoms, cloud.points), norms, (1.0, _NEAR))
    return result.T


def quick_distances(atoms: Float64, cloud: Cloud) -> Float64:
    """Return squared distances, float64 `(K, n)`, whose products are taken in single precision: twice as fast.

    They err by about 1e-7 of the squared norms (except near pairs, which are computed from their difference), so the
    nearest atom is right except for ties to that precision. Alternations run on them; results are computed from
    `exact_distances`.
    """
    result = np.empty((len(cloud.points), len(atoms)))
    norms = squared_norms(atoms), cloud.norms
    product = cloud.single @ _in_units(atoms, 1.0 / cloud.unit).T
    _expand(result, product, (atoms, cloud.points), norms, (cloud.unit**2, _NEAR_SINGLE))
    return result.T


@compiled
def _centred(points: Float64, centre: Float64) -> tuple[Float64, Float64]:
    """Return `points − centre`, `(n, D)`, and the squared norms of its rows."""
    centred, norms = np.empty_like(points), np.zeros(len(points))
    for i in range(points.shape[0]):
        for d in range(points.shape[1]):
            centred[i, d] = points[i, d] - centre[d]
        norms[i] = centred[i] @ centred[i]
    return centred, norms


@compiled
def _in_units(points: Float64, factor: float) -> NDArray[np.float32]:
    """Return `factor · points` in single precision."""
    result = np.empty(points.shape, np.float32)
    for i in range(points.shape[0]):
        for d in range(points.shape[1]):
            result[i, d] = np.float32(points[i, d] * factor)
    return result


@compiled
def _expand(
    result: Float64,
    product: NDArray[np.floating],
    sets: tuple[Float64, Float64],
    norms: tuple[Float64, Float64],
    terms: tuple[float, float],
) -> None:
    """Write `‖a‖² + ‖b‖² − 2 · factor · product` into `result`, `(n, K)`; `terms` are the factor and what is near."""
    left, right = sets
    left_norms, right_norms = norms
    factor, near = terms
    for i in range(result.shape[0]):
        row, norm, any_near = result[i], right_norms[i], False
        for j in range(len(row)):
            size = norm + left_norms[j]
            row[j] = size - 2.0 * factor * product[i, j]
            any_near |= row[j] < near * size
        if any_near:
            for j in range(len(row)):
                if row[j] < near * (norm + left_norms[j]):
                    row[j] = 0.0
                    for d in range(right.shape[1]):
                        row[j] += (right[i, d] - left[j, d]) ** 2
