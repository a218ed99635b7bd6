"""k-means: the real images nearest to the centres of k-means of the class's features."""

from collections.abc import Iterable

from wmdd import ot
from wmdd.context import Context, stream_seed
from wmdd.methods.k_means import KMeansSettings
from wmdd.methods.kits.coresets import Points, Rows, choose_by_features, choosing, nearest_rows, unit_rows
from wmdd.stages.stage import Stage
from wmdd.values import ClassStatistics, DistilledSet, ImageSet, Teacher


def k_means(points: Points, count: int, seeds: Iterable[int]) -> Rows:
    """Return the `count` rows nearest to the centres of k-means, one for each centre, in the order of the centres.

    Where two centres have the same nearest row, rows are assigned so that the sum of squared distances is least; else
    that is every centre's nearest row.

    Args:
        points: `(n, D)`.
        count: K, at most n.
        seeds: at least one.
    """
    return nearest_rows(best_k_means(points, count, seeds), points)


def best_k_means(points: Points, count: int, seeds: Iterable[int]) -> Points:
    """Return the `count` centres `(K, D)` of the k-means of lowest cost of one run a seed, the first of equals."""
    return min((ot.kmeans(ot.Problem.of(points, count, seed=seed)) for seed in seeds), key=lambda run: run.cost).atoms


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

    def choose(label: int) -> Rows:
        seeds = (stream_seed(ctx.seed, ctx.stage, label, start) for start in range(settings.starts))
        return k_means(unit_rows(statistics.of_class(label)), ipc, seeds)

    return choose_by_features("k-means", train, teacher, statistics, ipc, choose=choose, ctx=ctx)


K_MEANS = Stage(name="k-means", version=1, run=pick_k_means, output=DistilledSet, networks=False, workers="units")

ALGORITHM = choosing(K_MEANS, lambda recipe: recipe.of(KMeansSettings))
