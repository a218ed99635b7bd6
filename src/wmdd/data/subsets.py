"""Some images of a set as a set of their own, without a copy."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wmdd.values import Images, ImageSet


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Images of others, by their positions there."""

    images: Images
    positions: Tensor

    @property
    def in_memory(self) -> bool:
        return self.images.in_memory

    def __len__(self) -> int:
        return len(self.positions)

    def fetch(self, indices: Sequence[int]) -> Tensor:
        chosen = self.positions[torch.as_tensor(indices, dtype=torch.int64)]
        return self.images.fetch(chosen.tolist())


def subset(images: ImageSet, positions: Tensor) -> ImageSet:
    """Return the images at `positions`, int64 `(N',)`, in this order."""
    digest = hashlib.sha256(images.fingerprint.encode() + positions.numpy().tobytes()).hexdigest()
    return replace(
        images,
        labels=images.labels[positions],
        images=_Part(images=images.images, positions=positions),
        fingerprint=digest[: len(images.fingerprint)],
    )
