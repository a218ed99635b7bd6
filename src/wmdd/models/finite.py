"""Which values of a network are not finite: what a message about a divergence names first."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def first_nonfinite(values: nn.Module | Mapping[str, Tensor]) -> str | None:
    """Return the name of the first parameter, buffer or tensor that holds NaN or infinity, or None."""
    named = values.state_dict() if isinstance(values, nn.Module) else values
    floats = {name: value for name, value in named.items() if value.is_floating_point()}
    if not floats:
        return None
    finite = torch.stack([torch.isfinite(value).all() for value in floats.values()]).tolist()  # one wait for the device
    return next((name for name, sound in zip(floats, finite, strict=True) if not sound), None)


def first_negative_variance(values: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first running variance below zero, or None."""
    variances = ((name, value) for name, value in values.items() if name.rpartition(".")[2] == "running_var")
    return next((name for name, value in variances if bool((value < 0).any())), None)
