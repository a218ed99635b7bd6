"""Beside the chain, losses: what the losses of distillation say of a finished set, whatever made it.

`evaluation/loss_cards.py` has the formulas. Points of a set are the teacher's features of `VIEWS` random views of each
image (crop and flip as students see them, no CutMix), whose weights are those of the image, shared out; `w2_images`
alone looks at whole images, and the gradient distance too, as in DC. W2² and the BatchNorm terms weigh images as the
set does, as in recovery; MMD², gradients and cross-entropy count them alike, as where they come from. All is measured
under one teacher, in eval mode and in fp32; from one seed every set gets the same views, networks and real images, so
that draws cancel in comparisons.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wmdd import ot
from wmdd.context import Context, Saved, every_unit, sent
from wmdd.data.class_batches import ClassBatches
from wmdd.data.inputs import distilled_inputs, in_form_of
from wmdd.errors import DataError
from wmdd.models.batchnorm import batchnorm_layers
from wmdd.models.building import build_teacher, fresh_network
from wmdd.models.differentiable_moments import MomentTap, batchnorm_moments
from wmdd.models.taps import features_and_logits, tap_features
from wmdd.settings import OptimisationSettings, ViewSettings
from wmdd.stages.classes import classes_in_threads
from wmdd.stages.recovery.groups import Group, class_groups, merge_classes, merged_moments
from wmdd.stages.recovery.mmd import linear_discrepancy, rbf_discrepancy
from wmdd.stages.recovery.terms import squared_distance
from wmdd.stages.recovery.views import step_views
from wmdd.stages.stage import Stage
from wmdd.training.gradients import class_gradient, gradient_distance
from wmdd.training.recalibration import recalibrate_by_classes
from wmdd.values import ClassFeatures, ClassStatistics, DistilledSet, ImageSet, SetLosses, Teacher

VIEWS = 16
"""Views of each image of the set."""
NETWORKS = 4
"""Random networks whose gradients are compared."""
REAL = 64
"""Real images of a class in a gradient; all of a smaller class."""
BATCH = 100
"""Images that pass the teacher together, as many whole classes as fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """What every loss is computed from."""

    distilled: DistilledSet
    """In the teacher's normalisation."""
    statistics: ClassStatistics
    views: ClassFeatures
    model: nn.Module
    settings: ViewSettings
    ctx: Context

    @property
    def weights(self) -> Tensor:
        """Weights in the class, float64 `(C, K)`; float32 sums to 1 only nearly."""
        weights = self.distilled.weights.double().view(len(self.distilled.classes), -1)
        return weights / weights.sum(1, keepdim=True)


def losses(
    distilled: DistilledSet,
    teacher: Teacher,
    real: tuple[ClassStatistics, ClassFeatures],
    train: ImageSet,
    settings: ViewSettings,
    *,
    ctx: Context | None = None,
) -> SetLosses:
    """Return every loss of `distilled`, class by class.

    Units of work are the random networks, then the classes, which are measured in threads. BatchNorm terms are left
    out if the teacher has no BatchNorm layer.

    Args:
        distilled: the set; it may have been made with another teacher.
        teacher: under which all sets are measured.
        real: what that teacher sees of the real images, whole (`statistics`) and as views (`view_features`).
        train: the real images.
        settings: how views are drawn.
        ctx: saves; its seed draws views, networks and real images.

    Raises:
        DataError: set, teacher and real images disagree about the classes.
    """
    ctx = ctx or Context()
    for classes in (distilled.classes, train.classes):
        teacher.require_classes(classes)
    _require_as_many(len(teacher.classes), *real)
    distilled = in_form_of(distilled, teacher)
    model = build_teacher(teacher, ctx.device)
    inputs = _Inputs(distilled=distilled, statistics=real[0], views=real[1], model=model, settings=settings, ctx=ctx)
    gradients = _gradient_losses(distilled, teacher, train, ctx)
    seen = _pass_views(inputs)
    found = classes_in_threads(
        partial(_feature_losses, inputs, seen["whole"], seen["features"]),
        len(distilled.classes),
        row=lambda measured: {name: float(value) for name, value in measured.tensors.items()},
        ctx=ctx,
    )
    terms = {**_batchnorm_losses(inputs, seen), "gradient": gradients, "cross_entropy": seen["cross_entropy"]}
    return SetLosses(set=distilled.method, values={**found.tensors, **terms})


def _require_as_many(classes: int, *real: ClassFeatures) -> None:
    """Refuse features of another number of classes."""
    for each in real:
        if len(each.counts) != classes:
            raise DataError(
                f"teacher and features have different numbers of classes; got {classes} and {len(each.counts)}; "
                "give those of one teacher"
            )


def _gradient_losses(distilled: DistilledSet, teacher: Teacher, train: ImageSet, ctx: Context) -> Tensor:
    """Return the distance of each class's gradients, `(C,)`, mean over networks; a network that is saved is done."""
    real = ClassBatches(images=train, form=teacher, device=ctx.device)
    names = [f"network-{number}" for number in range(NETWORKS)]

    def make(number: int) -> Tensor:
        saved = ctx.restore(names[number])
        rows = saved.tensors["distances"] if saved else _under_network(distilled, teacher, real, number, ctx)
        if saved is None:
            ctx.save(names[number], {"distances": rows})
        ctx.progress(number + 1, NETWORKS)
        return rows

    return torch.stack(every_unit(names, make, ctx)).mean(0)


def _under_network(distilled: DistilledSet, teacher: Teacher, real: ClassBatches, number: int, ctx: Context) -> Tensor:
    """Return the distance of each class's gradients under one random network, float64 `(C,)`."""
    model = fresh_network(teacher.spec, ctx, "network", number)
    recalibrate_by_classes(model, real, lambda label: ctx.generator("batchnorm", number, label))
    model.eval()
    distances: list[Tensor] = []
    for label, rows in enumerate(torch.arange(len(distilled.labels)).chunk(len(distilled.classes))):
        images = distilled_inputs(distilled, rows, ctx.device)
        batch = real.draw(label, REAL, ctx.generator("real", number, label))
        found, wanted = (class_gradient(model, each, label, differentiable=False) for each in (images, batch))
        distances.append(gradient_distance(found, wanted))
    return torch.stack(distances).cpu().double()


def _pass_views(inputs: _Inputs) -> dict[str, Tensor]:
    """Return what the teacher makes of the set, class by class.

    Returns:
        `whole` `(C, K, D)` and `features` `(C, V·K, D)`, view by view: features of the images and of their views,
        float64; `cross_entropy` `(C,)`; `means` and `variances` `(C, F)` of all views' BatchNorm inputs, if there are
        such layers.
    """
    distilled = inputs.distilled
    groups = class_groups(len(distilled.classes), distilled.ipc, BATCH)
    parts: list[dict[str, Tensor]] = []
    exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)  # as the real features were computed
    with exact, torch.inference_mode():
        parts += [_pass_group(inputs, group) for group in groups]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _pass_group(inputs: _Inputs, group: Group) -> dict[str, Tensor]:
    """Return what `_pass_views` does, of the classes of a group."""
    ipc, ctx = group.ipc, inputs.ctx
    images = distilled_inputs(inputs.distilled, slice(group.labels[0] * ipc, (group.labels[-1] + 1) * ipc), ctx.device)
    labels = group.image_labels(ctx.device)
    whole, _ = features_and_logits(inputs.model, images.contiguous(memory_format=torch.channels_last))
    views = list(_seen_views(inputs, group, images))
    entropies = [F.cross_entropy(logits, labels, reduction="none").view(-1, ipc).mean(1) for _, logits, _ in views]
    found = {
        "whole": _by_class(whole, ipc),
        "features": torch.cat([_by_class(features, ipc) for features, _, _ in views], dim=1),
        "cross_entropy": torch.stack(entropies).double().mean(0).cpu(),
    }
    moments = [each for _, _, each in views if each is not None]
    if moments:  # of each class: all views count the same
        means, variances = (torch.stack(part, dim=1).double().cpu() for part in zip(*moments, strict=True))
        merged = [merge_classes((1,) * VIEWS, *each) for each in zip(means, variances, strict=True)]
        found["means"], found["variances"] = (torch.cat(part) for part in zip(*merged, strict=True))
    return found


def _seen_views(
    inputs: _Inputs, group: Group, images: Tensor
) -> Iterator[tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]]:
    """Yield features, logits and BatchNorm moments of one view after the other of a group's images."""
    ctx, model = inputs.ctx, inputs.model
    drawn = OptimisationSettings(crop_min=inputs.settings.crop_min, flip=inputs.settings.flip)
    weights = sent(inputs.weights[list(group.labels)].float(), ctx.device)
    for number in range(VIEWS):
        views = step_views(images, group, number, drawn, ctx).contiguous(memory_format=torch.channels_last)
        with batchnorm_moments(model, weights) if batchnorm_layers(model) else tap_features(model) as tap:
            logits = model(views).float()
        yield tap.features, logits, (tap.means, tap.variances) if isinstance(tap, MomentTap) else None


def _by_class(features: Tensor, ipc: int) -> Tensor:
    return features.double().cpu().view(-1, ipc, features.shape[1])


def _feature_losses(inputs: _Inputs, whole: Tensor, features: Tensor, label: int) -> Saved:
    """Return W2² and MMD² of a class."""
    weights, points = inputs.weights[label], features[label]
    of_views = weights.repeat(VIEWS) / VIEWS
    images, views = (each.of_class(label).double() for each in (inputs.statistics, inputs.views))
    values = {
        "w2_images": ot.wasserstein2(whole[label], images, weights).value,
        "w2_views_to_images": ot.wasserstein2(points, images, of_views).value,
        "w2_views": ot.wasserstein2(points, views, of_views).value,
        "mmd_linear": linear_discrepancy(points, views),
        "mmd_rbf": rbf_discrepancy(points, views, ot.median_distance(views.numpy())),
    }
    return Saved(
        tensors={name: torch.as_tensor(value, dtype=torch.float64) for name, value in values.items()}, facts={}
    )


def _batchnorm_losses(inputs: _Inputs, seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the BatchNorm terms of recovery, of each class `(C,)` and of all together `(1,)`; none without layers."""
    if "means" not in seen:
        return {}
    statistics, classes = inputs.statistics, len(inputs.distilled.classes)
    own = (seen["means"], seen["variances"])
    sides = {
        "bn_class": (own, (statistics.means, statistics.variances)),
        "bn_global": (merge_classes((1,) * classes, *own), merged_moments(statistics)),
    }
    return {
        name: sum(
            (squared_distance(one, other, statistics.widths) for one, other in zip(found, wanted, strict=True)),
            start=torch.zeros(len(found[0]), dtype=torch.float64),
        )
        for name, (found, wanted) in sides.items()
    }


LOSSES = Stage(name="losses", version=1, run=losses, output=SetLosses, networks=False, workers="units")
