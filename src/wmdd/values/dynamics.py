"""Training dynamics: how a network answered each real image while it learned; shapes as in `wmdd.values`."""

from dataclasses import dataclass

import torch
from torch import Tensor

from wmdd.errors import DataError
from wmdd.values.showing import short_repr

RIGHT, PROBABILITY = 0, 1
"""Planes of `TrainingDynamics.answers`."""


def forgetting_events(right: Tensor) -> Tensor:
    """Return how often each image was forgotten, int64 `(N,)`: right at one presentation, wrong at the next.

    That is the count of Toneva et al., ICLR 2019, arXiv:1812.05159. Of images that were never right it is 0 here, and
    infinite there.

    Args:
        right: `(E, N)`: 1 right, 0 wrong, NaN where the image was not presented; such epochs are passed over.
    """
    latest = torch.zeros(right.shape[1], dtype=torch.bool)
    events = torch.zeros(right.shape[1], dtype=torch.int64)
    for answers in right:
        events += latest & (answers == 0)
        latest = torch.where(answers.isnan(), latest, answers == 1)
    return events


def first_learned(right: Tensor) -> Tensor:
    """Return the epoch, counted from 1, in which each image was first right, int64 `(N,)`; 0 = never.

    Args:
        right: as for `forgetting_events`.
    """
    first = torch.zeros(right.shape[1], dtype=torch.int64)
    for epoch, answers in enumerate(right, start=1):
        first[(first == 0) & (answers == 1)] = epoch
    return first


def mean_presented(values: Tensor) -> Tensor:
    """Return the mean over the epochs in which each image was presented, float64 `(N,)`; 0 if it never was.

    Args:
        values: `(E, N)`, NaN where the image was not presented.
    """
    total = torch.zeros(values.shape[1], dtype=torch.float64)
    count = torch.zeros(values.shape[1], dtype=torch.int64)
    for each in values:
        total += each.nan_to_num(0.0)
        count += ~each.isnan()
    return total / count.clamp(min=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingDynamics:
    """How a network answered the N images that it was trained on, in each of the E epochs.

    Answers are those that training itself had: to the view of the image that the network learned from, before the step,
    in train mode. Every figure is made epoch by epoch, so that a few numbers for each image are all that is in memory.
    """

    labels: Tensor
    """int64 `(N,)`: of the images, in their stored order."""
    answers: Tensor
    """float32 `(E, 2, N)`: whether the class of largest logit was the image's (1 or 0), and the softmax probability of
    the image's class; both NaN where the image was not presented in that epoch. May be memory-mapped."""

    __repr__ = short_repr

    @property
    def events(self) -> Tensor:
        """Forgetting events of each image, int64 `(N,)`; 0 also if it was never learned."""
        return forgetting_events(self.answers[:, RIGHT])

    @property
    def learned(self) -> Tensor:
        """Epoch, counted from 1, in which each image was first answered right, int64 `(N,)`; 0 = never."""
        return first_learned(self.answers[:, RIGHT])

    @property
    def confidence(self) -> Tensor:
        """Mean probability of each image's class over the epochs, float64 `(N,)`.

        The confidence of dataset cartography (Swayamdipta et al., EMNLP 2020, arXiv:2009.10795).
        """
        return mean_presented(self.answers[:, PROBABILITY])

    def require_labels(self, labels: Tensor) -> None:
        """Raise `DataError` if the images are others than those that were answered."""
        if not torch.equal(self.labels, labels):
            raise DataError(
                f"training dynamics and images do not belong together; got {len(self.labels)} answered images and "
                f"{len(labels)} images, or other labels; give the dynamics of these images"
            )
