"""Several teachers that answer as one: the mean of their logits."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from wmdd.models._registry import build_teacher
from wmdd.values import Teacher


class Committee(nn.Module):
    """Answers by the mean of its members' logits (G-VBSM, EDC, FADRM+); each normalises the images as it wants them."""

    def __init__(self, teachers: Sequence[Teacher], device: torch.device | str) -> None:
        super().__init__()
        self.members = nn.ModuleList(build_teacher(teacher, device) for teacher in teachers)
        self._changes = [_change(teachers[0], teacher, device) for teacher in teachers]

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 logits `(B, C)` of images that are normalised as the first member wants them."""
        return torch.stack([self.member_logits(number, images).float() for number in range(len(self.members))]).mean(
            dim=0
        )

    def member_logits(self, number: int, images: Tensor) -> Tensor:
        """Return the logits of one member, for images that are normalised as the first member wants them."""
        change = self._changes[number]
        return self.members[number](images if change is None else (images * change[0] + change[1]).to(images.dtype))


def build_teachers(teachers: Sequence[Teacher], device: torch.device | str = "cpu") -> nn.Module:
    """Return the network of the only teacher, or of several that answer as one (`Committee`)."""
    if len(teachers) == 1:
        return build_teacher(teachers[0], device)
    return Committee(teachers, device).eval()


@contextmanager
def batch_statistics(model: nn.Module) -> Generator[None]:
    """Let BatchNorm layers normalise by the statistics of each batch inside the `with`, and learn nothing from them."""
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    before = [(layer.training, layer.momentum) for layer in layers]
    for layer in layers:
        layer.train()
        layer.momentum = 0.0  # running statistics stay as they are
    try:
        yield
    finally:
        for layer, (training, momentum) in zip(layers, before, strict=True):
            layer.train(training)
            layer.momentum = momentum


def _change(first: Teacher, other: Teacher, device: torch.device | str) -> tuple[Tensor, Tensor] | None:
    """Return factor and shift from one normalisation to another, `(ch, 1, 1)` each; None where they are the same."""
    if (first.mean, first.std) == (other.mean, other.std):
        return None
    old, new = (torch.tensor([each.mean, each.std], device=device)[:, :, None, None] for each in (first, other))
    return old[1] / new[1], (old[0] - new[0]) / new[1]
