"""Random real images of one class at a time, as networks see them."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from wmdd.context import sent
from wmdd.data.inputs import InputForm, network_inputs
from wmdd.values import ImageSet


@dataclass(frozen=True, kw_only=True)
class ClassBatches:
    """Random real images of a class at a time, cropped and normalised, drawn from the caller's own stream."""

    images: ImageSet
    form: InputForm
    device: torch.device

    def draw(self, label: int, count: int, generator: torch.Generator) -> Tensor:
        """Return `count` images of class `label`, or all if there are fewer, drawn without replacement.

        Returns:
            float32 `(count, ch, R, R)` on the device. Images that are not in memory are decoded here.
        """
        members = self._members[label]
        chosen = members[torch.randperm(len(members), generator=generator)[:count]]
        return network_inputs(sent(self.images.images.fetch(chosen.tolist()), self.device), self.form)

    @cached_property
    def _members(self) -> list[Tensor]:
        return [self.images.of_class(label) for label in range(len(self.images.classes))]
