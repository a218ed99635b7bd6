"""Moving averages whose value is that of many steps and whose gradient is that of the latest."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(slots=True)
class MovingAverage:
    """Exponential moving average of statistics, of which parts may sit a step out.

    avg <- alpha avg + (1 - alpha) s, from avg = 0, and avg / (1 - alpha^n) after n steps, so that the first value is s
    itself. Differs from G-VBSM's code, which starts from 0 without this correction: a fifth of the true value in the
    first step for alpha = 0.8.

    Shapes: `S` entries.
    """

    decay: float
    """alpha; 0 = the latest step alone."""
    average: Tensor
    """`(S,)`, uncorrected."""
    steps: Tensor
    """`(S,)`: n, how often each entry took part."""

    @classmethod
    def empty(cls, like: Tensor, decay: float) -> "MovingAverage":
        """Return the average of nothing yet."""
        return cls(decay, torch.zeros_like(like), torch.zeros_like(like))

    def follow(self, values: Tensor, taking_part: Tensor) -> Tensor:
        """Take in `values` `(S,)` where `taking_part`; return the corrected average with the gradient of `values`.

        Entries that have never taken part are 0.
        """
        latest = values.detach().to(self.average.dtype)
        self.average = torch.where(taking_part, self.decay * self.average + (1 - self.decay) * latest, self.average)
        self.steps = self.steps + taking_part
        corrected = self.average / (1 - self.decay ** self.steps.clamp(min=1))
        return corrected + values - latest
