"""What recovery asks of images: features at the atoms, BatchNorm moments at the class's own.

Shapes: `G` classes in a group, `K` images each (class-major, `G·K` in all), `D` features, `F` channels of all BatchNorm
layers side by side. Equations in `stages/recover.py`; the two forms differ as docs/differences.md says:

- squared: every term is a sum of squares and belongs to one class;
- reference: unsquared norms, the feature norm over the whole group, BatchNorm norms averaged over its classes, one crop
  for all images, equal weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.models import MomentTap, batchnorm_moments, tap_features
from wmdd.settings import RecoverSettings
from wmdd.training.losses import norm_match, squared_match
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

    def classes(self, device: torch.device) -> Tensor:
        """Return the labels of the images, int64 `(G·K,)`."""
        return torch.tensor(self.labels, device=device).repeat_interleave(self.ipc)


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets(Group):
    """What the images of a group shall match, on the device."""

    atoms: Tensor | None = None
    """`(G·K, D)`; None where the feature loss needs none."""
    weights: Tensor
    """`(G', K')`: of each image in the pool whose moments are taken; rows add up to 1. G' is G, or 1 if global."""
    means: Tensor
    """`(G', F)`."""
    variances: Tensor
    """`(G', F)`."""
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """One step's loss and its terms, as scalars."""

    total: Tensor
    feature: Tensor
    bn: Tensor

    def figures(self) -> dict[str, float]:
        """Return the terms as numbers for the log."""
        terms = {"feature_loss": self.feature, "bn_loss": self.bn}
        return {name: float(value.detach()) for name, value in terms.items()}


def group_targets(
    statistics: ClassStatistics,
    barycenters: Barycenters,
    labels: tuple[int, ...],
    settings: RecoverSettings,
    device: torch.device,
) -> Targets:
    """Return the targets of the classes `labels`, whole: atoms, and moments weighed as the atoms are."""
    chosen = list(labels)
    group = Group(labels=labels, ipc=barycenters.atoms.shape[1])
    weights = image_weights(barycenters, settings)[chosen]
    atoms = barycenters.atoms[chosen].flatten(0, 1).to(device)
    return moment_targets(statistics, group, weights, settings, device=device, atoms=atoms)


def moment_targets(
    statistics: ClassStatistics,
    group: Group,
    weights: Tensor,
    settings: RecoverSettings,
    *,
    device: torch.device,
    atoms: Tensor | None = None,
) -> Targets:
    """Return the targets of a group whose images weigh `weights` `(G, K)` in their class."""
    chosen = list(group.labels)
    means, variances = statistics.means[chosen], statistics.variances[chosen]
    if settings.bn == "global":
        weights = weights.reshape(1, -1) / len(group.labels)
        means, variances = merged_moments(statistics)
    return Targets(
        labels=group.labels,
        ipc=group.ipc,
        first=group.first,
        atoms=atoms,
        weights=weights.float().to(device),
        means=means.float().to(device),
        variances=variances.float().to(device),
        widths=statistics.widths,
    )


def image_weights(barycenters: Barycenters, settings: RecoverSettings) -> Tensor:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the teacher says of a batch: features `(B, D)`, logits `(B, C)`, BN moments `(G', F)`, None without them."""

    features: Tensor
    logits: Tensor
    moments: tuple[Tensor, Tensor] | None


def observe(model: nn.Module, looks: Tensor, targets: Targets, *, settings: RecoverSettings, ctx: Context) -> Seen:
    """Pass the group's images, as they look in this step `(G·K, ch, R, R)`, through the teacher."""
    tap = tap_features(model) if settings.bn == "none" else batchnorm_moments(model, targets.weights)
    with tap as seen, ctx.autocast():
        logits = model(looks.contiguous(memory_format=torch.channels_last)).float()
    moments = (seen.means, seen.variances) if isinstance(seen, MomentTap) else None
    return Seen(features=seen.features.float(), logits=logits, moments=moments)


def match(model: nn.Module, looks: Tensor, targets: Targets, *, settings: RecoverSettings, ctx: Context) -> Losses:
    """Return the loss of a group's images as they look in this step, `(G·K, ch, R, R)`."""
    seen = observe(model, looks, targets, settings=settings, ctx=ctx)
    feature = _feature_loss(seen.features, seen.logits, targets, settings)
    # Global targets count once for each class, as per-class ones do; the reference form takes the mean over classes.
    count = 1 if settings.form == "reference" else len(targets.labels)
    bn = (
        looks.new_zeros(())
        if seen.moments is None
        else batchnorm_terms(*seen.moments, targets, settings).mean() * count
    )
    return Losses(total=feature + settings.bn_weight * bn, feature=feature, bn=bn)


def class_entropy(logits: Tensor, group: Group, settings: RecoverSettings) -> Tensor:
    """Return the cross-entropy: summed over classes the mean over a class's images; the mean in the reference form."""
    return F.cross_entropy(logits, group.classes(logits.device)) * (
        len(group.labels) if settings.form == "squared" else 1
    )


def _feature_loss(features: Tensor, logits: Tensor, targets: Targets, settings: RecoverSettings) -> Tensor:
    """Return what ties images to their classes: distance to the atoms, cross-entropy, or both."""
    entropy = class_entropy(logits, targets, settings)
    if settings.feature_loss == "cross_entropy":
        return entropy
    loss = settings.ce_weight * entropy
    if settings.feature_loss == "none":
        return loss
    assert targets.atoms is not None
    residual = features - targets.atoms
    squared = settings.form == "squared"
    return loss + (residual.square().sum() / targets.ipc if squared else torch.linalg.vector_norm(residual))


def batchnorm_terms(means: Tensor, variances: Tensor, targets: Targets, settings: RecoverSettings) -> Tensor:
    """Return the BatchNorm term of each class, or the only one of global targets: `(G',)`."""
    terms = _distance(means, variances, targets, settings, layers=len(targets.widths))
    if settings.bn_first != 1:
        terms = terms + (settings.bn_first - 1) * _distance(means, variances, targets, settings, layers=1)
    return terms


def _distance(means: Tensor, variances: Tensor, targets: Targets, settings: RecoverSettings, *, layers: int) -> Tensor:
    """Return the distance of the first `layers` layers' moments from their targets, `(G',)`."""
    widths = targets.widths[:layers]
    part = slice(sum(widths))
    pairs = ((means[:, part], targets.means[:, part]), (variances[:, part], targets.variances[:, part]))
    if settings.form == "reference":
        first, second = (norm_match(found, wanted, widths) for found, wanted in pairs)
    else:
        first, second = (squared_match(found, wanted) for found, wanted in pairs)
    return first + second
