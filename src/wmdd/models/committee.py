"""Several teachers as one: the mean of their logits."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wmdd.models.building import build_teacher
from wmdd.values import Teacher


class Committee(nn.Module):
    """The mean of its members' logits (G-VBSM, EDC, FADRM+); each member normalises the images as it was trained to."""

    def __init__(self, teachers: Sequence[Teacher], device: torch.device | str) -> None:
        super().__init__()
        self.members = nn.ModuleList(build_teacher(teacher, device) for teacher in teachers)
        self._changes = [_change(teachers[0], teacher, device) for teacher in teachers]

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 logits `(B, C)` of images that are normalised for the first member."""
        return torch.stack([self.member_logits(number, images).float() for number in range(len(self.members))]).mean(
            dim=0
        )

    def member_logits(self, number: int, images: Tensor) -> Tensor:
        """Return the logits of one member, for images that are normalised for the first member."""
        change = self._changes[number]
        return self.members[number](images if change is None else (images * change[0] + change[1]).to(images.dtype))


def build_teachers(teachers: Sequence[Teacher], device: torch.device | str = "cpu") -> nn.Module:
    """Return the network of the only teacher, or a `Committee` of several."""
    if len(teachers) == 1:
        return build_teacher(teachers[0], device)
    return Committee(teachers, device).eval()


def _change(first: Teacher, other: Teacher, device: torch.device | str) -> tuple[Tensor, Tensor] | None:
    """Return factor and shift from one normalisation to another, `(ch, 1, 1)` each; None where they are the same."""
    if (first.mean, first.std) == (other.mean, other.std):
        return None
    old, new = (torch.tensor([each.mean, each.std], device=device)[:, :, None, None] for each in (first, other))
    return old[1] / new[1], (old[0] - new[0]) / new[1]
