"""The recovery loss: a list of named, weighted terms, added up in one place, `GroupLoss`.

To add a term, write its function of a forward pass here and give it a row in `squared_terms`; in `reference_terms`
too, if the reference form should have it. Its name is its column in the log. A term of weight 0 is neither computed nor
logged. Terms of other packages (`recover.terms`) join in `further_terms`.

Equations: `stages/recover.py`. `recover.form` chooses the list; `forward.py` and `groups.py` say how views and weights
follow it, docs/differences.md where each form comes from:

- squared: every term is a sum over classes, so that a class's loss is its own;
- reference: unsquared norms, the feature norm over the whole group, the other terms averaged over its classes.

Units: the feature term is in squared features, whether it compares with atoms or, by a kernel, with real features (in
features under `reference`); the BatchNorm term in squared entries of its layers' inputs; cross-entropy in nats. So one
lambda weighs the same beside every feature term, and another beside cross-entropy.

Shapes: `G` classes in a group, `K` images each (class-major, `G·K` in all), `D` features, `F` channels of all BatchNorm
layers side by side; G' is the number of pools of images whose moments are taken together: G classes, or 1 under global
statistics, or each of the G·K images where it has targets of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.models.batchnorm import running_moments
from wmdd.settings import KernelSettings, RecoverSettings
from wmdd.stages.recovery.forward import Forward, TeacherForward, batchnorm_weight, teacher_forward
from wmdd.stages.recovery.further_terms import further_terms
from wmdd.stages.recovery.groups import Group, Targets
from wmdd.stages.recovery.loss import GroupLoss, Term
from wmdd.stages.recovery.mmd import KERNELS, class_discrepancies, real_features
from wmdd.stages.recovery.views import step_views
from wmdd.values import ClassStatistics

ObjectiveSettings = RecoverSettings | KernelSettings
"""Settings of a loss with atoms, and of one without."""
SMALLEST = 1e-12
"""Below it a root is taken of this in its place, for its derivative has no bound at 0."""


def recovery_loss(
    model: nn.Module,
    targets: Targets,
    statistics: ClassStatistics,
    settings: ObjectiveSettings,
    *,
    ctx: Context,
    spread: bool = False,
) -> GroupLoss[TeacherForward]:
    """Return the loss of a group of images `(G·K, ch, R, R)`; `spread`: see `step_views`.

    Running statistics are the teacher's own, and MMD compares with real features: both become part of the targets.
    """
    if settings.bn == "running":
        means, variances = (moments.float()[None] for moments in running_moments(model))
        targets = replace(targets, means=means, variances=variances)
    if settings.feature_loss in KERNELS:
        targets = replace(targets, real=real_features(statistics, targets.labels, settings.feature_loss, ctx))

    def forward(images: Tensor, step: int) -> TeacherForward:
        views = step_views(images, targets, step, settings, ctx, spread=spread)
        return replace(teacher_forward(model, views, targets, settings, step=step, ctx=ctx), images=images)

    terms = LISTS[settings.form](targets, settings) + further_terms(targets, statistics, settings)
    return GroupLoss(forward=forward, terms=terms)


def squared_terms(targets: Targets, settings: ObjectiveSettings) -> list[Term[TeacherForward]]:
    """Return the paper's terms: sums over classes, of squares."""
    classes = len(targets.labels)
    return [
        Term(
            name="feature_loss",
            weight=_feature_weight(settings),
            value=lambda forward: squared_feature_distance(forward, targets),
            classes=classes,
        ),
        Term(
            name="ce_loss",
            weight=_entropy_weight(settings),
            value=lambda forward: cross_entropy(forward, targets),
            classes=classes,
        ),
        Term(
            name="bn_loss",
            weight=batchnorm_weight(settings),
            value=lambda forward: batchnorm_distance(forward, targets, squared_distance, first=settings.bn_first),
            classes=classes,
        ),
    ]


def reference_terms(targets: Targets, settings: ObjectiveSettings) -> list[Term[TeacherForward]]:
    """Return the reference code's terms: unsquared norms, and means over classes."""
    return [
        Term(
            name="feature_loss",
            weight=_feature_weight(settings),
            value=lambda forward: feature_norm(forward, targets),
        ),
        Term(
            name="ce_loss",
            weight=_entropy_weight(settings),
            value=lambda forward: cross_entropy(forward, targets),
        ),
        Term(
            name="bn_loss",
            weight=batchnorm_weight(settings),
            value=lambda forward: batchnorm_distance(forward, targets, layer_norms, first=settings.bn_first),
        ),
    ]


LISTS = {"squared": squared_terms, "reference": reference_terms}
"""Value of `recover.form` → list of terms."""


def _feature_weight(settings: ObjectiveSettings) -> float:
    return float(settings.feature_loss in ("wasserstein", *KERNELS))


def _entropy_weight(settings: ObjectiveSettings) -> float:
    return 1.0 if settings.feature_loss == "cross_entropy" else settings.ce_weight


def squared_feature_distance(forward: TeacherForward, targets: Targets) -> Tensor:
    """Return (1/K) sum_j ||f(x_j) - b_j||² of each class, `(G,)`; MMD² where it compares with real features."""
    if targets.real:
        return class_discrepancies(forward.features, targets.real, forward.step)
    assert targets.atoms is not None
    return (forward.features - targets.atoms).square().sum(dim=1).view(-1, targets.ipc).mean(dim=1)


def feature_norm(forward: TeacherForward, targets: Targets) -> Tensor:
    """Return the norm of f(x) - b over all images of the group at once, a scalar; with real features MMD, `(G,)`."""
    if targets.real:
        return class_discrepancies(forward.features, targets.real, forward.step).clamp(min=SMALLEST).sqrt()
    assert targets.atoms is not None
    return torch.linalg.vector_norm(forward.features - targets.atoms)


def cross_entropy(forward: Forward, group: Group) -> Tensor:
    """Return the cross-entropy against the labels, the mean over the group's images."""
    return F.cross_entropy(forward.logits, group.image_labels(forward.logits.device))


Distance = Callable[[Tensor, Tensor, Sequence[int]], Tensor]
"""Moments and their targets, `(G', F)` each, channels of each layer → distance of each class, `(G',)`."""


def batchnorm_distance(forward: TeacherForward, targets: Targets, distance: Distance, *, first: float) -> Tensor:
    """Return how far means and variances are from their targets, `(G',)`; the first layer counts `first` times."""
    assert forward.moments is not None
    pairs = list(zip(forward.moments, (targets.means, targets.variances), strict=True))

    def up_to(layers: int) -> Tensor:
        widths = targets.widths[:layers]
        part = slice(sum(widths))
        means, variances = (distance(found[:, part], wanted[:, part], widths) for found, wanted in pairs)
        return means + variances

    whole = up_to(len(targets.widths))
    return whole if first == 1 else whole + (first - 1) * up_to(1)


def squared_distance(values: Tensor, targets: Tensor, widths: Sequence[int]) -> Tensor:
    """Return sum_l ||values_l - targets_l||² of each class, `(G',)`, for `(G', F)` moments."""
    del widths  # squares add up across layers
    return (values - targets).square().sum(dim=1)


def layer_norms(values: Tensor, targets: Tensor, widths: Sequence[int]) -> Tensor:
    """Return sum_l ||values_l - targets_l|| of each class, `(G',)`: one unsquared norm for each layer."""
    parts = torch.split(values - targets, list(widths), dim=1)
    return torch.stack([torch.linalg.vector_norm(part, dim=1) for part in parts]).sum(dim=0)
