"""The terms that WMDD+ adds to the recovery loss; equations in `recover.py`."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from wmdd.context import Context
from wmdd.methods.wmdd_plus import PlusRecoverSettings
from wmdd.stages.recovery.forward import TeacherForward
from wmdd.stages.recovery.groups import Group, image_weights
from wmdd.stages.recovery.loss import Term
from wmdd.stages.recovery.mmd import class_discrepancies, draw_rows, real_features
from wmdd.stages.recovery.transport import set_discrepancy
from wmdd.values import Barycenters, ClassStatistics

ROWS = 256
"""Real features of a class that W2² compares the set with in a step."""


def plus_terms(
    terms: Sequence[Term[TeacherForward]],
    group: Group,
    statistics: ClassStatistics,
    barycenters: Barycenters,
    *,
    settings: PlusRecoverSettings,
    ctx: Context,
) -> list[Term[TeacherForward]]:
    """Return the terms of recovery, the feature term at its share, with those of the set and of total variation."""
    classes, share = len(group.labels), settings.set_share

    def of_images(forward: TeacherForward) -> Tensor:
        assert forward.images is not None
        return total_variation(forward.images).view(-1, group.ipc).mean(dim=1)

    shared = [
        replace(term, weight=(1 - share) * term.weight) if term.name == "feature_loss" else term for term in terms
    ]
    if share:
        of_sets = set_distance(group, statistics, barycenters, settings=settings, ctx=ctx)
        shared.append(Term(name="set_loss", weight=share, value=of_sets, classes=classes))
    return [*shared, Term(name="tv_loss", weight=settings.tv, value=of_images, classes=classes)]


def set_distance(
    group: Group, statistics: ClassStatistics, barycenters: Barycenters, *, settings: PlusRecoverSettings, ctx: Context
) -> Callable[[TeacherForward], Tensor]:
    """Return the distance of each class's set of views, `(G,)`, in squared features: W2², or MMD² to real features."""
    if settings.set_loss == "mmd_rbf":
        real = real_features(statistics, group.labels, settings.set_loss, ctx)
        return lambda forward: class_discrepancies(forward.features, real, forward.step)
    weights = image_weights(barycenters, settings)

    def aims(label: int, step: int) -> tuple[Tensor, Tensor | None]:
        """Return the points that the set of a class should match in a step, and their masses."""
        if settings.set_of == "atoms":
            return barycenters.atoms[label], barycenters.weights[label]
        return draw_rows(statistics.of_class(label), ROWS, ctx.generator("real", label, step)), None

    def transported(forward: TeacherForward) -> Tensor:
        parts = zip(group.labels, forward.features.split(group.ipc), strict=True)
        found = [
            set_discrepancy(features, points, weights[label], masses)
            for label, features in parts
            for points, masses in [aims(label, forward.step)]
        ]
        return torch.stack(found)

    return transported


def total_variation(images: Tensor) -> Tensor:
    """Return the anisotropic total variation of each of `(B, ch, R, R)`, `(B,)`: the mean difference of neighbours.

    The mean of |x - its right neighbour| over channels and pairs, plus that of |x - its lower neighbour| (Rudin, Osher
    and Fatemi 1992, per pixel, so that it does not depend on the image's side).
    """
    across, down = (images.diff(dim=axis).abs().flatten(1).mean(dim=1) for axis in (3, 2))
    return across + down
