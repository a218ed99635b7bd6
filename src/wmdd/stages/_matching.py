"""What recovery asks of images: features at the atoms, BatchNorm moments at the class's own.

Shapes: `G` classes in a group, `K` images each (class-major, `G·K` in all), `D` features, `F` channels of all BatchNorm
layers side by side. Equations in `stages/recover.py`; the two forms differ as docs/differences.md says:

- squared: every term is a sum of squares and belongs to one class;
- reference: unsquared norms, the feature norm over the whole group, BatchNorm norms averaged over its classes, one crop
  for all images, equal weights.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.data.views import concatenate, draw_views, look
from wmdd.models import MomentTap, batchnorm_moments, tap_features
from wmdd.settings import RecoverSettings, ViewSettings
from wmdd.training.losses import norm_match, squared_match
from wmdd.values import Barycenters, ClassStatistics, Views


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What the images of a group of classes shall match, on the device."""

    labels: tuple[int, ...]
    atoms: Tensor
    """`(G·K, D)`."""
    weights: Tensor
    """`(G', K')`: of each image in the pool whose moments are taken; rows add up to 1. G' is G, or 1 if global."""
    means: Tensor
    """`(G', F)`."""
    variances: Tensor
    """`(G', F)`."""
    widths: tuple[int, ...]
    ipc: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """One step's loss and its terms, as scalars."""

    total: Tensor
    feature: Tensor
    bn: Tensor

    def figures(self) -> dict[str, float]:
        """Return the terms as numbers for the log."""
        terms = {"loss": self.total, "feature_loss": self.feature, "bn_loss": self.bn}
        return {name: float(value.detach()) for name, value in terms.items()}


def group_targets(
    statistics: ClassStatistics,
    barycenters: Barycenters,
    labels: tuple[int, ...],
    settings: RecoverSettings,
    device: torch.device,
) -> Targets:
    """Return the targets of the classes `labels`."""
    chosen = list(labels)
    ipc = barycenters.atoms.shape[1]
    weights = image_weights(barycenters, settings)[chosen]
    means, variances = statistics.means[chosen], statistics.variances[chosen]
    if settings.bn == "global":
        weights = weights.reshape(1, -1) / len(labels)
        means, variances = merged_moments(statistics)
    return Targets(
        labels=labels,
        atoms=barycenters.atoms[chosen].flatten(0, 1).to(device),
        weights=weights.float().to(device),
        means=means.float().to(device),
        variances=variances.float().to(device),
        widths=statistics.widths,
        ipc=ipc,
    )


def image_weights(barycenters: Barycenters, settings: RecoverSettings) -> Tensor:
    """Return the weight of each image in its class, `(C, K)`: the barycenter's, or equal ones in the reference form."""
    if settings.form == "reference":
        return torch.full_like(barycenters.weights, 1 / barycenters.weights.shape[1])
    return barycenters.weights


def merged_moments(statistics: ClassStatistics) -> tuple[Tensor, Tensor]:
    """Return mean and variance over all classes, `(1, F)` each, from those of the classes."""
    share = torch.tensor(statistics.counts, dtype=torch.float64)[:, None] / sum(statistics.counts)
    mean = (share * statistics.means).sum(dim=0, keepdim=True)
    spread = (share * (statistics.means - mean).square()).sum(dim=0, keepdim=True)
    return mean, (share * statistics.variances).sum(dim=0, keepdim=True) + spread


def draw_step_views(size: int, targets: Targets, step: int, settings: RecoverSettings, ctx: Context) -> Views:
    """Draw the views of one step: per image from each class's own stream; one for all in the reference form."""
    views = ViewSettings(crop_min=settings.crop_min, flip=settings.flip)
    if settings.form == "reference":
        total = targets.ipc * len(targets.labels)
        generator = ctx.generator("views", targets.labels[0], step)
        one = draw_views(torch.zeros(1, dtype=torch.int64), size, size, views, generator)
        return concatenate([one] * total)
    index = torch.arange(targets.ipc)
    return concatenate(
        [draw_views(index, size, size, views, ctx.generator("views", label, step)) for label in targets.labels]
    )


def match(
    model: nn.Module, images: Tensor, views: Views, targets: Targets, *, settings: RecoverSettings, ctx: Context
) -> Losses:
    """Return the loss of images `(G·K, ch, R, R)` under their views."""
    looks = look(images, views.crop, views.flip, images.shape[-1])
    tap = tap_features(model) if settings.bn == "none" else batchnorm_moments(model, targets.weights)
    with tap as seen, ctx.autocast():
        logits = model(looks.contiguous(memory_format=torch.channels_last)).float()
    feature = _feature_loss(seen.features.float(), logits, targets, settings)
    tapped = isinstance(seen, MomentTap)
    bn = _bn_loss(seen.means, seen.variances, targets, settings) if tapped else looks.new_zeros(())
    return Losses(total=feature + settings.bn_weight * bn, feature=feature, bn=bn)


def _feature_loss(features: Tensor, logits: Tensor, targets: Targets, settings: RecoverSettings) -> Tensor:
    """Return what ties images to their classes: distance to the atoms, cross-entropy, or both."""
    squared = settings.form == "squared"
    classes = torch.tensor(targets.labels, device=logits.device).repeat_interleave(targets.ipc)
    # Squared: a sum over classes of the mean over a class's images. Reference: the mean, or the norm, over the group.
    entropy = F.cross_entropy(logits, classes) * (len(targets.labels) if squared else 1)
    if settings.feature_loss == "cross_entropy":
        return entropy
    loss = settings.ce_weight * entropy
    if settings.feature_loss == "none":
        return loss
    residual = features - targets.atoms
    return loss + (residual.square().sum() / targets.ipc if squared else torch.linalg.vector_norm(residual))


def _bn_loss(means: Tensor, variances: Tensor, targets: Targets, settings: RecoverSettings) -> Tensor:
    """Return the BatchNorm term over the group; global targets count once for each class, as per-class ones do."""
    if settings.form == "reference":
        norms = norm_match(means, targets.means, targets.widths) + norm_match(
            variances, targets.variances, targets.widths
        )
        return norms.mean()
    squares = squared_match(means, targets.means) + squared_match(variances, targets.variances)
    return squares.mean() * len(targets.labels)
