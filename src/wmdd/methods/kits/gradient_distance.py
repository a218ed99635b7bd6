"""How far two gradients of a network's parameters are apart."""

from collections.abc import Sequence

import torch
from torch import Tensor

_TINY = 1e-6


def gradient_distance(found: Sequence[Tensor], wanted: Sequence[Tensor], form: str = "rows") -> Tensor:
    """Return the distance of two gradients, each a tensor for each parameter, as a scalar.

    `rows` (Zhao, Mopuri and Bilen, ICLR 2021, eq. 10): sum over weights, and over their output rows i, of
    1 - <f_i, w_i> / (||f_i|| ||w_i|| + 1e-6); a convolution `(O, I, k, k)` has O rows. One-dimensional tensors (biases,
    affine parameters of norms) do not count. `mse` and `cos` take all tensors as one vector: the squared length of the
    difference, and one minus the cosine.

    Raises:
        ValueError: the form is unknown.
    """
    if form == "rows":
        pairs = [(f.flatten(1), w.flatten(1)) for f, w in zip(found, wanted, strict=True) if f.ndim > 1]
        return torch.stack([_one_minus_cosine(f, w).sum() for f, w in pairs]).sum()
    one, other = (torch.cat([part.flatten() for part in parts]) for parts in (found, wanted))
    if form == "mse":
        return (one - other).square().sum()
    if form == "cos":
        return _one_minus_cosine(one, other)
    raise ValueError(f"unknown distance of gradients; got {form!r}; use rows, mse or cos")


def _one_minus_cosine(one: Tensor, other: Tensor) -> Tensor:
    """Return 1 - cosine along the last axis."""
    lengths = torch.linalg.vector_norm(one, dim=-1) * torch.linalg.vector_norm(other, dim=-1)
    return 1 - (one * other).sum(-1) / (lengths + _TINY)
