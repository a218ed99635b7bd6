"""One atom, one cell: which real images the transport plan sends to each atom, and the BatchNorm moments of these.

Cell k of a class holds the images whose mass goes mostly to atom k in the exact plan between features and weighted
atoms. For weights that are Voronoi shares these are the Voronoi cells; for others the cells are as large as the weights
say. Matching each image to statistics of its own part of the class, from which it also starts, is PSM's (+3.1 on
Imagenette); there the parts are groups of equal difficulty, here those of the plan.
"""

import numpy as np
import torch
from torch import Tensor

from wmdd import ot
from wmdd.context import Context, Saved
from wmdd.data.loading import class_counts
from wmdd.errors import DataError
from wmdd.methods.kits.coresets import Points, Rows, nearest_rows
from wmdd.models.batchnorm import batchnorm_widths
from wmdd.models.building import build_teacher
from wmdd.models.streaming_moments import LayerMoments
from wmdd.models.taps import tap_batchnorm
from wmdd.settings import NoSettings, StatisticsSettings
from wmdd.stages.classes import class_by_class, classes_in_threads
from wmdd.stages.stage import Stage
from wmdd.stages.statistics import pass_images
from wmdd.values import TILES, Barycenters, Cells, CellStatistics, ClassStatistics, ImageSet, Teacher


def share_out(
    train: ImageSet,
    statistics: ClassStatistics,
    barycenters: Barycenters,
    settings: NoSettings,
    *,
    ctx: Context | None = None,
) -> Cells:
    """Return which atom each real image belongs to, and which images are nearest to each atom.

    Raises:
        DataError: images, statistics and barycenters do not belong together.
    """
    del settings
    ctx = ctx or Context()
    if statistics.counts != class_counts(train) or len(barycenters.atoms) != len(train.classes):
        raise DataError(
            f"images, statistics and barycenters do not belong together; got {len(train)} images of "
            f"{len(train.classes)} classes, {sum(statistics.counts)} features and {len(barycenters.atoms)} "
            "barycenters; make statistics and barycenters of these images"
        )
    owners, ipc = torch.zeros(len(train), dtype=torch.int64), barycenters.atoms.shape[1]

    def one_class(label: int) -> Saved:
        members = train.of_class(label)
        points = statistics.of_class(label).numpy().astype(np.float64)
        atoms = barycenters.atoms[label].numpy().astype(np.float64)
        own = plan_owners(points, atoms, barycenters.weights[label].numpy())
        tensors = {"medoids": members[nearest_rows(atoms, points)], "nearest": members[rank_cells(points, atoms, own)]}
        return Saved(tensors=tensors, facts={"owners": own.tolist()})

    found = classes_in_threads(
        one_class,
        len(train.classes),
        row=lambda solved: {"images": np.bincount(solved.facts["owners"], minlength=ipc).tolist()},
        ctx=ctx,
    )
    for label, own in enumerate(found.facts["owners"]):
        owners[train.of_class(label)] = torch.tensor(own, dtype=torch.int64)
    return Cells(owners=owners, medoids=found.tensors["medoids"], nearest=found.tensors["nearest"])


def plan_owners(points: Points, atoms: Points, weights: Points) -> Rows:
    """Return for each of n points the atom that gets most of its mass in the exact plan, `(n,)`; the first of ties."""
    return ot.wasserstein2(atoms, points, weights / weights.sum()).plan.argmax(axis=0).astype(np.int64)


def rank_cells(points: Points, atoms: Points, owners: Rows) -> Rows:
    """Return the rows of the points nearest to each atom, `(K, 4)`: first those of its cell, then others of the class.

    A class of fewer than four images repeats them.
    """
    distances = ot.squared_distances(atoms, points)
    outside = owners[None] != np.arange(len(atoms))[:, None]
    order = np.stack([np.lexsort(keys) for keys in zip(distances, outside, strict=True)])
    return order[:, np.arange(TILES) % len(points)]


CELLS = Stage(name="cells", version=1, run=share_out, output=Cells, seeded=False, networks=False, workers="units")


def cell_statistics(
    train: ImageSet, teacher: Teacher, cells: Cells, settings: StatisticsSettings, *, ctx: Context | None = None
) -> CellStatistics:
    """Return the exact moments of every BatchNorm layer's input over the images of each cell and all positions.

    The unit of work is a class. As in stage statistics, networks run in fp32, and no batch changes the result.

    Raises:
        DataError: teacher and images disagree about classes.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    model = build_teacher(teacher, ctx.device)
    num_cells, width = cells.medoids.shape[1], sum(batchnorm_widths(model))

    def one_cell(positions: Tensor) -> dict[str, Tensor]:
        if len(positions) == 0:
            return {name: torch.zeros(width, dtype=torch.float64) for name in ("mean", "variance")}
        moments = LayerMoments()
        tap = tap_batchnorm(model, moments.take)
        pass_images(model, train, teacher, positions, tap=tap, batch=settings.batch, ctx=ctx)
        return moments.tensors()

    def one_class(label: int) -> Saved:
        members = train.of_class(label)
        parts = [members[cells.owners[members] == number] for number in range(num_cells)]
        found = [one_cell(part) for part in parts]
        tensors = {name: torch.stack([each[name] for each in found]) for name in found[0]}
        return Saved(tensors={**tensors, "counts": torch.tensor([len(part) for part in parts])}, facts={})

    found = class_by_class(one_class, len(train.classes), ctx=ctx)
    return CellStatistics(
        counts=found.tensors["counts"], means=found.tensors["mean"], variances=found.tensors["variance"]
    )


CELL_STATISTICS = Stage(
    name="cell_statistics",
    version=1,
    run=cell_statistics,
    output=CellStatistics,
    seeded=False,
    networks=False,
    workers="units",
)
