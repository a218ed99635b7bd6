"""The student's own temperature, fitted to the teacher's answers after each epoch (LPQLD, arXiv:2604.18135)."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from wmdd.training.loop import Batch

GRID = tuple(number / 100 for number in range(1, 101))
"""The temperatures that are tried: 0.01, 0.02, ... 1."""
_NAME = "own temperature"


@dataclass(frozen=True, slots=True)
class OwnTemperature:
    """Temperature t of a student, at first 1, which follows the teacher's."""

    teacher: float
    """The teacher's, in epochs that have none of their own."""

    carried: dict[str, float] = field(default_factory=lambda: {_NAME: 1.0})
    """What the training loop saves and restores beside the weights."""

    @property
    def value(self) -> float:
        """The temperature of this epoch."""
        return self.carried[_NAME]

    def follow(self, logits: Tensor, batch: Batch) -> None:
        """Fit the temperature of the next epoch to the last batch of one, by its logits `(B, C)` before the last step.

        An epoch of hard labels leaves it as it is.
        """
        if not batch.stretch:
            weights = torch.ones(len(logits), device=logits.device) if batch.weights is None else batch.weights
            temperature = batch.temperature or self.teacher
            self.carried[_NAME] = best_temperature(logits, batch.targets, weights, temperature)


def best_temperature(student: Tensor, teacher: Tensor, weights: Tensor, temperature: float) -> float:
    """Return argmin over t in `GRID` of mean_b [ w_b KL(softmax(teacher/T) || softmax(student/t)) ].

    Args:
        student: logits `(B, C)`.
        teacher: logits `(B, C)`.
        weights: `(B,)`.
        temperature: T.
    """
    targets = F.softmax(teacher.float() / temperature, dim=1)
    losses = [-(targets * F.log_softmax(student.float() / t, dim=1)).sum(dim=1) @ weights for t in GRID]
    return GRID[int(torch.stack(losses).argmin())]
