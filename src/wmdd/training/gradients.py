"""Gradients of a network on the images of a class, and the distance between two of them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wmdd.training.losses import label_loss

_TINY = 1e-6


def class_gradient(model: nn.Module, images: Tensor, label: int, *, differentiable: bool) -> tuple[Tensor, ...]:
    """Return the gradient of the mean cross-entropy of images that are all of class `label`, for each parameter.

    With `differentiable` it can be differentiated with respect to the images.
    """
    labels = torch.full((len(images),), label, device=images.device)
    loss = label_loss(model(images), labels)
    return torch.autograd.grad(loss, list(model.parameters()), create_graph=differentiable)


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
    lengths = torch.linalg.vector_norm(one, dim=-1) * torch.linalg.vector_norm(other, dim=-1)
    return 1 - (one * other).sum(-1) / (lengths + _TINY)
