"""BPS: real images from the centres and the margins of the visual patterns of each class (CVPR 2026).

A class is cut into patterns, each gets its share of the images, half of a share are those nearest to the pattern's
centre by cosine, the others come from its margin (`margins.py`). Differs from the source: its patterns are communities
(Infomap) of the features of an encoder that was trained without labels and with them; here they are clusters (k-means)
of the teacher's features, of unit norm. Entropies are the teacher's, for the images as they are; what network the
source's file of entropies is from is not known to us.
"""

import numpy as np
import torch

from wmdd import ot
from wmdd.context import Context, Saved, stream_seed
from wmdd.data.loading import require_images, require_same_images
from wmdd.data.real_sets import real_set
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work
from wmdd.methods.bps import BpsSettings
from wmdd.methods.bps.margins import Entropies, margin_rows
from wmdd.methods.k_means.distill import best_k_means
from wmdd.methods.kits.answers import log_probabilities
from wmdd.methods.kits.coresets import Points, Rows, unit_rows
from wmdd.models.building import build_teacher
from wmdd.settings import Recipe, StatisticsSettings
from wmdd.stages.classes import class_by_class
from wmdd.stages.stage import Stage
from wmdd.stages.statistics import STATISTICS
from wmdd.values import ClassStatistics, DistilledSet, ImageSet, Teacher


def pick_patterns(
    train: ImageSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    settings: BpsSettings,
    *,
    ipc: int,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return `ipc` images of each class from the centres and the margins of its patterns, all of equal weight.

    The largest pattern comes first, in each the centre before the margin. The unit of work is a class.

    Raises:
        DataError: a class has fewer images than `ipc`, or teacher, images and statistics do not belong together.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    require_images(train, ipc)
    require_same_images(train, statistics.counts)
    model = build_teacher(teacher, ctx.device)

    def one_class(label: int) -> Saved:
        members, points = train.of_class(label), unit_rows(statistics.of_class(label))
        logs = log_probabilities(model, train, teacher, members, ctx=ctx)
        entropies = -(logs.exp() * logs).sum(1).numpy()
        owners = pattern_owners(points, settings.patterns or -(-ipc // 2), settings.starts, ctx, label)
        counts = np.bincount(owners)
        budgets = pattern_budgets(counts, ipc)
        rows: list[int] = []
        for pattern in np.argsort(-counts, kind="stable"):
            inside, seed = np.flatnonzero(owners == pattern), stream_seed(ctx.seed, ctx.stage, label, int(pattern))
            chosen = balanced_rows(points[inside], entropies[inside], int(budgets[pattern]), settings, seed)
            rows += inside[chosen].tolist()
        ctx.log(unit=f"class {label}", patterns=counts.tolist(), budgets=budgets.tolist())
        return Saved(tensors={"positions": members[torch.tensor(rows)]}, facts={})

    found = class_by_class(one_class, len(train.classes), ctx=ctx)
    return real_set("bps", train, teacher, found.tensors["positions"].flatten().tolist(), ipc)


def pattern_owners(points: Points, count: int, starts: int, ctx: Context, label: int) -> Rows:
    """Return the pattern of each point `(n, D)`, int64 `(n,)`: its nearest of at most `count` centres of k-means."""
    seeds = (stream_seed(ctx.seed, ctx.stage, label, "start", start) for start in range(starts))
    centres = best_k_means(points, min(count, len(points)), seeds)
    return ot.squared_distances(points, centres).argmin(axis=1).astype(np.int64)


def pattern_budgets(counts: Rows, ipc: int) -> Rows:
    """Return how many images each pattern gives: its share of `ipc`, rounded, none more than it has; they sum to `ipc`.

    What rounding leaves over, or has too much of, is dealt out one by one, to the largest patterns first.
    """
    budgets = np.round(counts * ipc / counts.sum()).astype(np.int64)
    while (left := ipc - budgets.sum()) != 0:
        step = int(np.sign(left))
        free = [at for at in np.argsort(-counts, kind="stable") if 0 <= budgets[at] + step <= counts[at]]
        budgets[free[: abs(left)]] += step
    return budgets


def balanced_rows(points: Points, entropies: Entropies, count: int, settings: BpsSettings, seed: int) -> Rows:
    """Return `count` rows of a pattern: first those nearest to its centre by cosine, then those of its margin.

    The centre's share is rounded to nearest, halves up, so that a single image is one of the centre.
    """
    near = np.argsort(-(points @ points.mean(axis=0)), kind="stable")
    central = int(count * settings.centres + 0.5)
    rest = np.sort(near[central:])
    outer = margin_rows(entropies[rest], count - central, share=settings.margin, seed=seed)
    return np.concatenate([near[:central], rest[outer]]).astype(np.int64)


BPS = Stage(name="bps", version=1, run=pick_patterns, output=DistilledSet, workers="units")


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Choose by the teacher's features and answers."""
    statistics = stages.run(STATISTICS, train, teachers[0], settings=recipe.of(StatisticsSettings))
    return stages.run(BPS, train, teachers[0], statistics, settings=recipe.of(BpsSettings), ipc=recipe.ipc)


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count two passes over the real images: for features, and for answers."""
    return (Work(arch=recipe.squeeze.arch, forward=2 * size.images),)


ALGORITHM = Algorithm(distill=distill, work=work)
