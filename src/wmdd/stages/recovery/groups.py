"""Groups of images that are optimised together, and their targets: atoms, and BatchNorm moments of the real images.

Shapes: `G` classes in a group, `K` images each, `D` features, `F` channels of all BatchNorm layers side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wmdd.context import sent
from wmdd.settings import InversionSettings
from wmdd.stages.recovery.mmd import RealFeatures
from wmdd.training.finite import require_finite
from wmdd.values import Barycenters, ClassStatistics


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
        return sent(torch.tensor(self.labels).repeat_interleave(self.ipc), device)


def class_groups(num_classes: int, ipc: int, batch: int) -> tuple[Group, ...]:
    """Return groups of as many whole classes as fit in `batch` images, at least one."""
    size = max(1, batch // ipc)
    starts = range(0, num_classes, size)
    return tuple(Group(labels=tuple(range(start, min(start + size, num_classes))), ipc=ipc) for start in starts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets(Group):
    """A group and what its images should match, on the device."""

    atoms: Tensor | None = None
    """`(G·K, D)`; None where the feature loss needs none."""
    weights: Tensor
    """`(G', K')`: of each image in the pool whose moments are taken; rows add up to 1. G' is G, 1 if global, or G·K
    where each image is a pool of its own."""
    means: Tensor
    """`(G', F)`."""
    variances: Tensor
    """`(G', F)`."""
    widths: tuple[int, ...]
    """Channels of each BatchNorm layer; they add up to F."""
    real: tuple[RealFeatures, ...] = ()
    """Features of each class's real images, where the feature loss compares with these and not with atoms."""


def barycenter_targets(
    statistics: ClassStatistics,
    barycenters: Barycenters,
    group: Group,
    settings: InversionSettings,
    device: torch.device,
) -> Targets:
    """Return the targets of a group of whole classes: atoms, and moments weighted as the atoms are."""
    chosen = list(group.labels)
    weights = image_weights(barycenters, settings)[chosen]
    atoms = barycenters.atoms[chosen].flatten(0, 1)
    return moment_targets(statistics, group, weights, settings, device=device, atoms=atoms)


def moment_targets(
    statistics: ClassStatistics,
    group: Group,
    weights: Tensor,
    settings: InversionSettings,
    *,
    device: torch.device,
    atoms: Tensor | None = None,
) -> Targets:
    """Return the targets of a group whose images weigh `weights` `(G, K)` in their class.

    Where moments are pooled they are those of the whole set; `terms.recovery_loss` puts the teacher's in their place.

    Raises:
        NumericsError: a target is not finite, so no image could reach it.
    """
    chosen = list(group.labels)
    means, variances = statistics.means[chosen], statistics.variances[chosen]
    aims = weights if atoms is None else atoms.unflatten(0, (len(chosen), -1))
    for label, *parts in zip(chosen, means, variances, weights, aims, strict=True):
        named: dict[str, Tensor] = dict(zip(("means", "variances", "weights", "atoms"), parts, strict=True))
        require_finite(f"the targets of class {label}", named, "make statistics and barycenters again")
    if settings.pooled:
        weights = weights.reshape(1, -1) / len(group.labels)
        means, variances = merged_moments(statistics)
    return Targets(
        labels=group.labels,
        ipc=group.ipc,
        first=group.first,
        atoms=None if atoms is None else atoms.to(device),
        weights=weights.float().to(device),
        means=means.float().to(device),
        variances=variances.float().to(device),
        widths=statistics.widths,
    )


def image_weights(barycenters: Barycenters, settings: InversionSettings) -> Tensor:
    """Return the weight of each image in its class, `(C, K)`: the barycenter's, or equal ones in the reference form."""
    if settings.form == "reference":
        return torch.full_like(barycenters.weights, 1 / barycenters.weights.shape[1])
    return barycenters.weights


def merged_moments(statistics: ClassStatistics) -> tuple[Tensor, Tensor]:
    """Return mean and variance over all classes, `(1, F)` each, from those of the classes."""
    return merge_classes(statistics.counts, statistics.means, statistics.variances)


def merge_classes(counts: Sequence[int], means: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance `(1, F)` of the union of classes with `counts` images and moments `(C, F)`."""
    share = torch.tensor(counts, dtype=torch.float64)[:, None] / sum(counts)
    mean = (share * means).sum(dim=0, keepdim=True)
    spread = (share * (means - mean).square()).sum(dim=0, keepdim=True)
    return mean, (share * variances).sum(dim=0, keepdim=True) + spread
