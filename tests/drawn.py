"""Pictures, teachers and distilled sets that tests draw for themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wmdd.data.loading import to_float
from wmdd.models.building import build_model, resolve_spec
from wmdd.values import DistilledSet, ImageSet, Teacher

MEAN, STD = (0.45, 0.5, 0.55), (0.25, 0.3, 0.2)


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


def drawn_teacher(images: ImageSet, arch: str = "convnet2_w4_bn") -> Teacher:
    """Return a teacher that was trained for a few steps on all images at once, with running statistics of its own."""
    spec = resolve_spec(
        arch, num_classes=len(images.classes), channels=images.channels, image_size=images.image_size, stem="small"
    )
    torch.manual_seed(3)
    model = build_model(spec)
    mean, std = MEAN[: images.channels], STD[: images.channels]
    inputs = to_float(images.images.fetch(range(len(images))), mean, std)
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(15):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), images.labels).backward()
        optimiser.step()
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    return Teacher(spec=spec, weights=weights, classes=images.classes, mean=mean, std=std, top1=0.0)


def drawn_distilled(images: ImageSet, ipc: int = 2, method: str = "drawn") -> DistilledSet:
    """Return the first images of each class as a distilled set, with unequal weights."""
    chosen = torch.cat([images.of_class(label)[:ipc] for label in range(len(images.classes))])
    weights = torch.arange(1.0, ipc + 1) / sum(range(1, ipc + 1))
    return DistilledSet(
        method=method,
        images=images.images.fetch(chosen.tolist()),
        labels=images.labels[chosen],
        weights=weights.repeat(len(images.classes)),
        classes=images.classes,
        mean=MEAN,
        std=STD,
    )
