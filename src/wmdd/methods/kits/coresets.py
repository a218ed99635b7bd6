"""Real images instead of synthetic ones: the baselines that choose and optimise nothing join the chain here.

`random` draws. The coresets choose by the teacher's features of each class, the rows divided by their norms; which
rows is `stages/_selecting.py`'s business. All images have equal weight.
"""

from collections.abc import Callable

import torch

from wmdd import ot
from wmdd.context import Context, stream_seed
from wmdd.data.loading import centre_crop, class_counts, require_images
from wmdd.errors import DataError
from wmdd.methods.kits.selecting import Points, Rows, herding, k_center, k_means, unit_rows
from wmdd.settings import KMeansSettings, Section
from wmdd.stages.stage import Stage
from wmdd.values import ClassStatistics, DistilledSet, ImageSet, Teacher


class PickSettings(Section):
    """Nothing to set: the seed is the run's."""


def pick_random(
    train: ImageSet, teacher: Teacher, settings: PickSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` real images of each class, drawn uniformly without replacement, all of equal weight."""
    del settings
    ctx = ctx or Context()
    chosen: list[int] = []
    for label in range(len(train.classes)):
        members = train.of_class(label)
        order = torch.randperm(len(members), generator=ctx.generator(label))
        chosen += members[order[:ipc]].tolist()
    return _as_set("random", train, teacher, chosen, ipc)


def pick_herding(
    train: ImageSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    settings: PickSettings,
    *,
    ipc: int,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return the `ipc` images of each class whose mean feature follows the class's own, in the order of herding.

    Raises:
        DataError: a class has fewer images than `ipc`, or teacher, images and statistics do not belong together.
    """
    del settings
    rows = _rows_of_classes(train, teacher, statistics, ipc, ctx=ctx, choose=lambda points, _: herding(points, ipc))
    return _as_set("herding", train, teacher, rows, ipc)


def pick_k_center(
    train: ImageSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    settings: PickSettings,
    *,
    ipc: int,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return `ipc` images of each class by farthest-first traversal from the one nearest to the class's mean feature.

    Raises:
        DataError: a class has fewer images than `ipc`, or teacher, images and statistics do not belong together.
    """
    del settings
    rows = _rows_of_classes(train, teacher, statistics, ipc, ctx=ctx, choose=lambda points, _: k_center(points, ipc))
    return _as_set("k-center", train, teacher, rows, ipc)


def pick_k_means(
    train: ImageSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    settings: KMeansSettings,
    *,
    ipc: int,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return the `ipc` images of each class that are nearest to the centres of k-means of its features.

    Raises:
        DataError: a class has fewer images than `ipc`, or teacher, images and statistics do not belong together.
    """
    ctx = ctx or Context()

    def choose(points: Points, label: int) -> Rows:
        seeds = (stream_seed(ctx.seed, ctx.stage, label, start) for start in range(settings.starts))
        return k_means(points, ipc, seeds)

    rows = _rows_of_classes(train, teacher, statistics, ipc, ctx=ctx, choose=choose)
    return _as_set("k-means", train, teacher, rows, ipc)


def _rows_of_classes(
    train: ImageSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    ipc: int,
    *,
    ctx: Context | None,
    choose: Callable[[Points, int], Rows],
) -> list[int]:
    """Return the positions of the images that `choose` takes of each class, by its points and its label.

    Classes are chosen from in threads; neither their number nor a stop changes the answer.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    require_images(train, ipc)
    _require_same_images(train, statistics)
    saved = ctx.restore("chosen")
    found: list[list[int]] = [] if saved is None else saved.tensors["positions"].tolist()
    labels = range(len(found), len(train.classes))
    chosen = ot.in_threads(lambda label: choose(unit_rows(statistics.of_class(label)), label), labels)
    for label, rows in zip(labels, chosen, strict=True):
        found.append(train.of_class(label)[rows].tolist())
        ctx.log(unit=f"class {label}", positions=found[-1])
        if ctx.due():
            ctx.save("chosen", {"positions": torch.tensor(found)})
        ctx.progress(len(found), len(train.classes))
    return [position for positions in found for position in positions]


def _require_same_images(train: ImageSet, statistics: ClassStatistics) -> None:
    """Refuse statistics of other images: rows would name the wrong ones."""
    if statistics.counts != class_counts(train):
        raise DataError(
            f"statistics and images do not belong together; got {sum(statistics.counts)} rows for {len(train)} images, "
            "or other numbers in the classes; give the statistics of these images"
        )


def _as_set(method: str, train: ImageSet, teacher: Teacher, chosen: list[int], ipc: int) -> DistilledSet:
    """Return the images at positions `chosen`, class by class, `ipc` of each, as a distilled set."""
    return DistilledSet(
        method=method,
        images=centre_crop(train.images.fetch(chosen), train.image_size).contiguous(),
        labels=train.labels[chosen],
        weights=torch.full((len(chosen),), 1 / ipc),
        classes=train.classes,
        mean=teacher.mean,
        std=teacher.std,
    )


RANDOM = Stage(name="random", version=1, run=pick_random, output=DistilledSet, networks=False)
HERDING = Stage(name="herding", version=1, run=pick_herding, output=DistilledSet, seeded=False, networks=False)
K_CENTER = Stage(name="k-center", version=1, run=pick_k_center, output=DistilledSet, seeded=False, networks=False)
K_MEANS = Stage(name="k-means", version=1, run=pick_k_means, output=DistilledSet, networks=False)
