"""The exponential moving average of a network's weights, which is tested in its place."""

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


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
