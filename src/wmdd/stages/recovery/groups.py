"""Groups: images that are optimised together."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Images that are optimised together: `ipc` of each of some classes, beginning with number `first` of a class."""

    labels: tuple[int, ...]
    ipc: int
    first: int = 0

    def stream(self, label: int) -> tuple[int, ...]:
        """Return what names the random stream of a class in this group: its label, and where it begins if not at 0."""
        return (label, self.first) if self.first else (label,)

    def image_labels(self, device: torch.device) -> Tensor:
        """Return the labels of the images, int64 `(G·K,)`."""
        return torch.tensor(self.labels, device=device).repeat_interleave(self.ipc)


def class_groups(num_classes: int, ipc: int, batch: int) -> tuple[Group, ...]:
    """Return groups of as many whole classes as fit in `batch` images, at least one."""
    size = max(1, batch // ipc)
    starts = range(0, num_classes, size)
    return tuple(Group(labels=tuple(range(start, min(start + size, num_classes))), ipc=ipc) for start in starts)
