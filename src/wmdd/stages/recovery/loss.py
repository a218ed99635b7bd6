"""What a recovery loss is: a weighted sum of named terms of one forward pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from wmdd.stages.recovery.forward import Forward
from wmdd.training.images import Losses
from wmdd.training.saving import Carried

ForwardT = TypeVar("ForwardT", bound=Forward)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term(Generic[ForwardT]):
    """One term of a loss."""

    name: str
    """Its column in the log."""
    weight: float
    value: Callable[[ForwardT], Tensor]
    """Forward pass → the value of each class, `(G',)`, or a scalar for the whole group; called once a step."""
    classes: int = 1
    """What the mean of the value is multiplied by: G where classes add up, 1 where their mean counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLoss(Generic[ForwardT]):
    """The loss of a group of images: the weighted sum of its terms, whose forward pass is made once."""

    forward: Callable[[Tensor, int], ForwardT]
    """Images `(G·K, ch, R, R)`, step from 0 → forward pass."""
    terms: Sequence[Term[ForwardT]]
    carried: Carried | None = None
    """What terms carry from one step to the next."""

    def __call__(self, images: Tensor, step: int) -> Losses:
        """Return the loss of images `(G·K, ch, R, R)` in a step, counted from 0."""
        forward = self.forward(images, step)
        terms = [term for term in self.terms if term.weight != 0]
        values = [term.value(forward).mean() * term.classes for term in terms]
        weighted = [term.weight * value for term, value in zip(terms, values, strict=True)]
        total = torch.stack(weighted or [0 * images.sum()]).sum()  # without any term the images stay as they are
        columns = {term.name: value.detach() for term, value in zip(terms, values, strict=True)}
        return Losses(total=total, columns=columns)
