"""The exponential moving average of what is optimised (Polyak averaging): the end of a path without its noise."""

from collections.abc import Mapping

import torch
from torch import Tensor

from wmdd.training.saving import Carried, carried_tensors


class Averages:
    """Moving averages of variables; saved state, together with what the loss carries.

    After t steps m_t = sum_s d^(t-s) x_s / sum_s d^(t-s) over s = 1 ... t, for a decay d in (0, 1): where the variables
    started from does not count.
    """

    def __init__(self, variables: Mapping[str, Tensor], decay: float, *, beside: Carried | None = None) -> None:
        self._variables = variables
        self._decay = decay
        self._beside = beside
        self._means = {name: torch.zeros_like(value) for name, value in variables.items()}

    def take(self, step: int) -> None:
        """Add the variables as they are after a step, counted from 1."""
        share = (1 - self._decay) / (1 - self._decay**step)
        with torch.no_grad():
            for name, value in self._variables.items():
                self._means[name].lerp_(value, share)

    def put(self) -> None:
        """Set the variables to their averages."""
        with torch.no_grad():
            for name, value in self._variables.items():
                value.copy_(self._means[name])

    def tensors(self) -> dict[str, Tensor]:
        """Return averages, and what the loss carries, as named tensors."""
        means = {f"mean.{name}": value for name, value in self._means.items()}
        return means | {f"loss.{name}": value for name, value in carried_tensors(self._beside).items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore them."""
        for name, value in self._means.items():
            value.copy_(tensors[f"mean.{name}"])
        if self._beside is not None:
            rest = {name: value for name, value in tensors.items() if name.startswith("loss.")}
            self._beside.load({name.removeprefix("loss."): value for name, value in rest.items()})
