"""Coresets: real images, chosen by the teacher's features of their class.

Which rows are chosen, and whether by the features divided by their norms, is up to each method. All images have equal
weight. Ties go to the lowest row, so everything but random starts is a function of the points. Shapes: `n` points of a
class, `D` features, `K` chosen rows, all different.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wmdd import ot
from wmdd.context import Context, Saved
from wmdd.data.loading import require_images, require_same_images
from wmdd.data.real_sets import real_set
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work
from wmdd.settings import NoSettings, Recipe, Section, StatisticsSettings
from wmdd.stages.classes import classes_in_threads
from wmdd.stages.stage import Stage
from wmdd.stages.statistics import STATISTICS
from wmdd.values import ClassStatistics, DistilledSet, ImageSet, Teacher, TrainingDynamics

Points = NDArray[np.float64]
Rows = NDArray[np.int64]


def unit_rows(points: Tensor) -> Points:
    """Return points `(n, D)` in float64, each divided by its Euclidean norm; a row of zeros stays what it is."""
    table = points.numpy().astype(np.float64)
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    return table / np.where(norms > 0.0, norms, 1.0)


def nearest_rows(atoms: Points, points: Points) -> Rows:
    """Return a row of points `(n, D)` for each of K <= n atoms `(K, D)`, all different, in the order of the atoms.

    They are assigned so that the sum of squared distances is least: each atom's nearest row, unless two have the same.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import

    _, rows = linear_sum_assignment(ot.squared_distances(atoms, points))
    return rows.astype(np.int64)


def choose_by_dynamics(
    method: str,
    train: ImageSet,
    teacher: Teacher,
    dynamics: TrainingDynamics,
    ipc: int,
    *,
    order: Callable[[], Tensor],
    logged: Mapping[str, Tensor],
    ctx: Context,
) -> DistilledSet:
    """Return the first `ipc` images of each class in an order of all images, all of equal weight, as a distilled set.

    Args:
        method: whose set it is.
        train: the real images.
        teacher: gives the normalisation alone.
        dynamics: recorded on these images.
        ipc: images a class.
        order: gives the positions of all images, int64 `(N,)`; asked once all belongs together.
        logged: values of all images, `(N,)`, that stand in the log beside the positions of those that are chosen.
        ctx: environment.

    Raises:
        DataError: a class has fewer images than `ipc`, or teacher, images and dynamics do not belong together.
    """
    teacher.require_classes(train.classes)
    require_images(train, ipc)
    dynamics.require_labels(train.labels)
    chosen = leading_rows(order(), train, ipc)
    for label, rows in enumerate(chosen):
        facts = {"positions": rows, **{name: values[rows] for name, values in logged.items()}}
        ctx.log(unit=f"class {label}", **{name: values.tolist() for name, values in facts.items()})
    return real_set(method, train, teacher, chosen.flatten().tolist(), ipc)


def leading_rows(order: Tensor, train: ImageSet, ipc: int) -> Tensor:
    """Return the first `ipc` positions of each class in an order of all images, int64 `(C, ipc)`.

    Each class must have so many images.
    """
    labels = train.labels[order]
    return torch.stack([order[labels == label][:ipc] for label in range(len(train.classes))])


def choose_by_features(
    method: str,
    train: ImageSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    ipc: int,
    *,
    choose: Callable[[int], Rows],
    ctx: Context,
) -> DistilledSet:
    """Return the images that `choose` takes of each class, given its label, as a distilled set.

    Raises:
        DataError: a class has fewer images than `ipc`, or teacher, images and statistics do not belong together.
    """
    teacher.require_classes(train.classes)
    require_images(train, ipc)
    require_same_images(train, statistics.counts)

    def compute(label: int) -> Saved:
        rows = choose(label)
        return Saved(tensors={"positions": train.of_class(label)[rows]}, facts={})

    found = classes_in_threads(
        compute,
        len(train.classes),
        row=lambda chosen: {"positions": chosen.tensors["positions"].tolist()},
        ctx=ctx,
    )
    return real_set(method, train, teacher, found.tensors["positions"].flatten().tolist(), ipc)


def feature_coreset(method: str, choose: Callable[[Points, int], Rows]) -> Stage:
    """Return the stage of a method that chooses by a class's points and IPC alone: no settings, nothing drawn."""

    def pick(
        train: ImageSet,
        teacher: Teacher,
        statistics: ClassStatistics,
        settings: NoSettings,
        *,
        ipc: int,
        ctx: Context | None = None,
    ) -> DistilledSet:
        del settings

        def rows(label: int) -> Rows:
            return choose(unit_rows(statistics.of_class(label)), ipc)

        return choose_by_features(method, train, teacher, statistics, ipc, choose=rows, ctx=ctx or Context())

    return Stage(name=method, version=1, run=pick, output=DistilledSet, seeded=False, networks=False, workers="units")


def no_settings(recipe: Recipe) -> Section:
    """Return the settings of a stage that has none."""
    del recipe
    return NoSettings()


def choosing(stage: Stage, settings: Callable[[Recipe], Section] = no_settings) -> Algorithm:
    """Return the algorithm of a method whose `stage` chooses by the teacher's features, under those `settings`."""

    def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
        statistics = stages.run(STATISTICS, train, teachers[0], settings=recipe.of(StatisticsSettings))
        return stages.run(stage, train, teachers[0], statistics, settings=settings(recipe), ipc=recipe.ipc)

    def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
        return (Work(arch=recipe.squeeze.arch, forward=size.images),)

    return Algorithm(distill=distill, work=work)
