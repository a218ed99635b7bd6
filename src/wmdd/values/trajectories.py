"""The ways that networks take while they are trained; shapes as in `wmdd.values`."""

from dataclasses import dataclass

from torch import Tensor

from wmdd.values.features import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectories:
    """The parameters of X networks, the experts, at the start of their training and after each of its E epochs."""

    spec: ModelSpec
    """Of all of them."""
    parameters: Tensor
    """float32 `(X, E + 1, P)`: all P parameters side by side, in the network's order. May be memory-mapped."""
