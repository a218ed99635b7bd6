"""Stage recover of WMDD+: WMDD's recovery with other starts and targets, and further terms.

    L_k = (1 - s) (1/K) sum_j ||f(view(x_kj)) - b_kj||²  +  s D( sum_j w_kj delta(f(view(x_kj))), nu_k )
          + lambda BN_k  +  (tau/K) sum_j TV(x_kj)

with s = `set_share`, D = W2², nu_k some real features of the class or its atoms, tau = `tv`; or D = MMD² of equal
weights under Gaussians, as method `mmd` has it, nu_k real features. Under statistics of the class, BN_k
is WMDD's: the w-weighted moments of the class's images together against those of the class. Under statistics of cells
each image is compared alone, BN_k = (1/K) sum_j sum_l (||mu_l(x_kj) - m_kjl||² + ||var_l(x_kj) - v_kjl||²), where

    m_kj = a_kj mu_cell + (1 - a_kj) mu_class, and v likewise; a = 1 (`cell`), or n_kj / (n_kj + n_0) (`blend`)

for the n_kj images of the cell: both estimates are shrunk, so that the variance of a small cell stays near the class's.
An empty cell has the class's statistics.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from wmdd.context import Context
from wmdd.data.inputs import network_inputs
from wmdd.methods.kits.tiles import cut, tile_images
from wmdd.methods.wmdd_plus import PlusRecoverSettings
from wmdd.methods.wmdd_plus.terms import plus_terms
from wmdd.stages.recovery.descent import Recovery, recover_groups
from wmdd.stages.recovery.forward import TeacherForward
from wmdd.stages.recovery.groups import Group, Targets, barycenter_targets, class_groups, image_weights
from wmdd.stages.recovery.image_adam import ImageAdam
from wmdd.stages.recovery.loss import GroupLoss
from wmdd.stages.recovery.prepared import prepared
from wmdd.stages.recovery.terms import recovery_loss
from wmdd.stages.stage import Stage
from wmdd.values import Barycenters, Cells, CellStatistics, ClassStatistics, DistilledSet, ImageSet, Teacher


def recover_plus(
    train: ImageSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    shares: tuple[Barycenters, Cells] | tuple[Barycenters, Cells, CellStatistics],
    settings: PlusRecoverSettings,
    *,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return as many images per class as there are atoms; the unit of work is a group of classes.

    Args:
        train: the real images.
        teacher: under which images are optimised.
        statistics: of the real images.
        shares: the atoms, the real images that belong to each, and the statistics of these, unless the settings ask for
            those of the class.
        settings: starts, losses, views, optimisation.
        ctx: environment.

    Raises:
        ConfigError: the teacher has no BatchNorm layer.
        DataError: teacher and images disagree about classes.
    """
    ctx = ctx or Context()
    model, residuals = prepared(train, teacher, statistics, settings, ctx=ctx)
    barycenters, cells, *moments = shares
    num_classes, ipc, _ = barycenters.atoms.shape
    recovery = Recovery(
        train=train,
        teacher=teacher,
        settings=settings,
        groups=class_groups(num_classes, ipc, settings.batch),
        ctx=ctx,
        start_of=_starts(train, teacher, cells, settings),
        optimiser=ImageAdam if settings.steps_of == "image" else torch.optim.Adam,
        ema=settings.ema,
        residuals=residuals,
    )

    def loss_of(group: Group) -> GroupLoss[TeacherForward]:
        targets = barycenter_targets(statistics, barycenters, group, settings, ctx.device)
        for each in moments:
            targets = cell_targets(targets, statistics, each, settings)
        spread = settings.border == "uniform"
        loss = recovery_loss(model, targets, statistics, settings, ctx=ctx, spread=spread)
        return replace(loss, terms=plus_terms(loss.terms, group, statistics, barycenters, settings=settings, ctx=ctx))

    return recover_groups(recovery, "wmdd+", loss_of, weights=image_weights(barycenters, settings))


def cell_targets(
    targets: Targets, statistics: ClassStatistics, cells: CellStatistics, settings: PlusRecoverSettings
) -> Targets:
    """Return targets under which each image of a group is compared alone, with the statistics of its own cell."""
    chosen, device = list(targets.labels), targets.means.device
    share = cell_share(cells.counts[chosen], settings)[..., None]
    means, variances = (
        (share * own[chosen] + (1 - share) * of_class[chosen][:, None]).flatten(0, 1).float().to(device)
        for own, of_class in ((cells.means, statistics.means), (cells.variances, statistics.variances))
    )
    return replace(targets, weights=torch.ones(len(means), 1, device=device), means=means, variances=variances)


def cell_share(counts: Tensor, settings: PlusRecoverSettings) -> Tensor:
    """Return how much the statistics of cells with `counts` images count beside the class's, float64 of that shape."""
    if settings.statistics == "cell":
        return (counts > 0).double()
    return counts / (counts.double() + settings.shrinkage)


def _starts(
    train: ImageSet, teacher: Teacher, cells: Cells, settings: PlusRecoverSettings
) -> Callable[[Group], Tensor] | None:
    """Return what gives a group's start; None for starts that know no cells."""

    def medoids(group: Group) -> Tensor:
        positions = cells.medoids[list(group.labels)].flatten()
        return network_inputs(train.images.fetch(positions.tolist()), teacher)

    def mosaics(group: Group) -> Tensor:
        return network_inputs(mosaic(train, cells.nearest[list(group.labels)].flatten(0, 1)), teacher)

    return {"cell": medoids, "mosaic": mosaics}.get(settings.start)


def mosaic(train: ImageSet, positions: Tensor) -> Tensor:
    """Return images of 2 x 2 whole real images, each at half its side, uint8 `(n, ch, R, R)`; positions `(n, 4)`."""
    size = train.image_size
    margin = (train.canvas - size) // 2
    pixels = train.images.fetch(positions.T.flatten().tolist())
    boxes = torch.tensor([[margin, margin, size]]).expand(len(pixels), 3)
    return tile_images(cut(pixels, boxes, -(-size // 2)), 2, size)


RECOVER_PLUS = Stage(name="recover_plus", version=5, run=recover_plus, output=DistilledSet, workers="units")
