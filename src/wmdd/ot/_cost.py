"""Points, and the squared Euclidean cost between two sets of them.

Shapes: `K` atoms or points of the first set, `n` points of the second, `D` features.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from wmdd.errors import DataError

Float64 = NDArray[np.float64]
Points = NDArray[np.floating] | torch.Tensor
"""What callers may hand in: a NumPy array or a tensor of any floating type on any device."""

_BLOCK = 4096
"""Points of the second set that are centred and multiplied at once."""
_NEAR = 1e-6
"""Below this fraction of the squared norms the expansion has lost too many digits; the difference is taken itself."""


def as_points(points: Points, name: str = "points") -> Float64:
    """Return points as a finite float64 array `(n, D)` on the CPU.

    Raises:
        DataError: not two-dimensional, empty, or holding NaN or infinity.
    """
    if isinstance(points, torch.Tensor):
        points = points.detach().cpu().double().numpy()
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise DataError(
            f"{name} must be a table with one point a row; got shape {array.shape}; give (points, features)"
        )
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise DataError(
            f"{name} must be finite; got NaN or infinity in {bad.size} of {len(array)} rows, first in row {bad[0]}; "
            "remove those rows or repair what made them"
        )
    return array


def squared_distances(points_a: Float64, points_b: Float64) -> Float64:
    """Return `‖a_i − b_j‖²` as float64 `(K, n)`, never negative, and exactly 0 for equal points.

    The expansion `‖a‖² + ‖b‖² − 2⟨a, b⟩` is taken about the mean of `points_b`, so that features far from the origin
    lose no digits; the few pairs that are very near each other are computed from their difference. Beside the result,
    memory is that of `points_a` and of a block of `points_b`.

    Args:
        points_a: `(K, D)`.
        points_b: `(n, D)`.
    """
    centre = np.mean(points_b, axis=0, dtype=np.float64)
    left = np.asarray(points_a, dtype=np.float64) - centre
    result = np.empty((len(points_a), len(points_b)))
    for start in range(0, len(points_b), _BLOCK):
        right = np.asarray(points_b[start : start + _BLOCK], dtype=np.float64) - centre
        _fill(result[:, start : start + _BLOCK], left, right)
    return result


def _fill(result: Float64, left: Float64, right: Float64) -> None:
    """Write the squared distances between the centred points `left` and `right` into `result`."""
    norms = np.einsum("id,id->i", left, left)[:, None] + np.einsum("jd,jd->j", right, right)
    np.matmul(left, right.T, out=result)
    result *= -2.0
    result += norms
    near = result < _NEAR * norms
    np.maximum(result, 0.0, out=result)
    for row in np.flatnonzero(near.any(axis=1)):
        columns = np.flatnonzero(near[row])
        difference = right[columns] - left[row]
        result[row, columns] = np.einsum("jd,jd->j", difference, difference)
