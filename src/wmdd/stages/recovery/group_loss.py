"""The loss of a group of images, as `recover.feature_loss` says: atoms, cross-entropy, or MMD to the real features."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wmdd import ot
from wmdd.context import Context
from wmdd.settings import RecoverSettings
from wmdd.stages.recovery.descent import GroupLoss
from wmdd.stages.recovery.discrepancy import linear_discrepancy, rbf_discrepancy
from wmdd.stages.recovery.matching import Losses, Targets, batchnorm_terms, class_entropy, match, observe
from wmdd.stages.recovery.views import step_looks
from wmdd.values import ClassStatistics

KERNELS = ("mmd_linear", "mmd_rbf")
ROWS = 512
"""Real features of a class that a step looks at."""


def group_loss(
    model: nn.Module,
    targets: Targets,
    statistics: ClassStatistics,
    settings: RecoverSettings,
    *,
    start: Tensor,
    ctx: Context,
) -> GroupLoss:
    """Return the loss of a group that starts from `start` `(G·K, ch, R, R)`."""
    if settings.feature_loss in KERNELS:
        real = [_real_features(statistics, label, settings, ctx) for label in targets.labels]
        return KernelLoss(model, targets, real, settings, start=start, ctx=ctx)

    def loss(images: Tensor, step: int) -> Losses:
        looks = step_looks(images, targets, step, settings, ctx)
        return match(model, looks, targets, settings=settings, ctx=ctx)

    return loss


@dataclass(frozen=True, slots=True, kw_only=True)
class RealFeatures:
    """Features of a class's real images, from which each step takes some, and how far they are to."""

    rows: Tensor
    """`(n, D)`; may be memory-mapped."""
    compare: Callable[[Tensor, Tensor], Tensor]
    """Features of images, real rows → MMD²."""


def _real_features(statistics: ClassStatistics, label: int, settings: RecoverSettings, ctx: Context) -> RealFeatures:
    """Return a class's features; the kernels' widths come from at most `ROWS` of them, and stay what they are."""
    rows = statistics.of_class(label)
    if settings.feature_loss == "mmd_linear":
        return RealFeatures(rows=rows, compare=linear_discrepancy)
    median = ot.median_distance(_some(rows, ctx.generator("widths", label)).numpy().astype("float64"))
    return RealFeatures(rows=rows, compare=lambda features, real: rbf_discrepancy(features, real, median))


def _some(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Return at most `ROWS` of the rows, drawn without replacement."""
    return rows if len(rows) <= ROWS else rows[torch.randperm(len(rows), generator=generator)[:ROWS]]


class KernelLoss:
    """MMD² to the real features and BatchNorm terms, each class's in units of its own values at the start.

    L = sum_k [ MMD²_k / MMD²_k0 + lambda BN_k / BN_k0 ], so that neither the scale of the features nor the number of
    channels decides which of the two counts; a class's loss is its own. With global statistics there is one BN term,
    counted once for each class. A cross-entropy term (`ce_weight`) is added as it is.
    """

    def __init__(
        self,
        model: nn.Module,
        targets: Targets,
        real: list[RealFeatures],
        settings: RecoverSettings,
        *,
        start: Tensor,
        ctx: Context,
    ) -> None:
        self._model, self._targets, self._real = model, targets, real
        self._settings, self._ctx = settings, ctx
        with torch.no_grad():  # drawn and looked at as in the first step, so a resumed run finds the same units
            self._units = tuple(term.clamp(min=1e-12) for term in self._terms(start, 0)[:2])

    def __call__(self, images: Tensor, step: int) -> Losses:
        """Return the loss of images `(G·K, ch, R, R)` in a step."""
        discrepancy, bn, entropy = self._terms(images, step)
        feature = (discrepancy / self._units[0]).sum() + self._settings.ce_weight * entropy
        bn = (bn / self._units[1]).mean() * len(self._targets.labels)
        return Losses(total=feature + self._settings.bn_weight * bn, feature=feature, bn=bn)

    def _terms(self, images: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return MMD² of each class `(G,)`, the BatchNorm terms `(G',)` and the cross-entropy, in their own units."""
        settings, targets, ctx = self._settings, self._targets, self._ctx
        looks = step_looks(images, targets, step, settings, ctx)
        seen = observe(self._model, looks, targets, settings=settings, ctx=ctx)
        found = [
            real.compare(own, _some(real.rows, ctx.generator("real", label, step)).to(own.device))
            for label, real, own in zip(targets.labels, self._real, seen.features.split(targets.ipc), strict=True)
        ]
        bn = images.new_zeros(1) if seen.moments is None else batchnorm_terms(*seen.moments, targets, settings)
        return torch.stack(found), bn, class_entropy(seen.logits, targets, settings)
