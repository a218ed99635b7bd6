"""Exponential moving averages over the steps of an optimisation (Polyak averaging): of images, of networks' weights."""

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

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


class WeightAverage:
    """The average of parameters and buffers: a <- decay a + (1 - decay) w after each step; the first w is the first a.

    The same numbers as torch's `AveragedModel`, whose every update copies its counter to a GPU and waits for that.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module = deepcopy(model)
        """The network that has the average for weights."""
        self._update = get_ema_multi_avg_fn(decay)
        self._steps = 0

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Take in the weights of `model`."""
        pairs = list(zip(_values(self.module), _values(model), strict=True))
        if self._steps == 0:
            for average, latest in pairs:
                average.copy_(latest)
        else:
            for floating in (True, False):
                chosen = [pair for pair in pairs if pair[0].is_floating_point() == floating]
                if chosen:
                    self._update([average for average, _ in chosen], [latest for _, latest in chosen], self._steps)
        self._steps += 1

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as named tensors."""
        named = {f"module.{name}": value for name, value in self.module.state_dict().items()}
        return {"n_averaged": torch.tensor(self._steps), **named}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `tensors` gave."""
        self._steps = int(tensors["n_averaged"])
        self.module.load_state_dict(
            {name.removeprefix("module."): value for name, value in tensors.items() if name != "n_averaged"}
        )


def _values(model: nn.Module) -> list[Tensor]:
    return [value.detach() for value in (*model.parameters(), *model.buffers())]
