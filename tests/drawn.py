"""Pictures that tests draw for themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wmdd.values import ImageSet


@dataclass(frozen=True, slots=True)
class HeldImages:
    """Decoded pixels behind the `Images` interface, without any of the package's own loading code."""

    pixels: Tensor
    """uint8 `(N, ch, S, S)`."""

    @property
    def in_memory(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self.pixels)

    def fetch(self, indices: Sequence[int]) -> Tensor:
        return self.pixels[list(indices)]


def drawn_set(
    *, classes: int = 3, per_class: int = 12, side: int = 8, channels: int = 3, split: str = "train", seed: int = 0
) -> ImageSet:
    """Return noisy pictures of which each class has a pattern of its own, so that networks have something to learn."""
    pattern_stream = torch.Generator().manual_seed(classes * 1000 + side)
    patterns = torch.rand(classes, channels, side, side, generator=pattern_stream)
    labels = torch.arange(classes).repeat_interleave(per_class)
    noise = torch.randn(len(labels), channels, side, side, generator=torch.Generator().manual_seed(seed))
    pixels = ((patterns[labels] + 0.15 * noise).clamp(0, 1) * 255).round().to(torch.uint8)
    return ImageSet(
        name="drawn",
        split=split,
        classes=tuple(f"class-{label}" for label in range(classes)),
        labels=labels,
        images=HeldImages(pixels),
        channels=channels,
        canvas=side,
        image_size=side,
        fingerprint=f"drawn-{classes}-{per_class}-{side}-{channels}-{split}-{seed}",
    )
