"""k-means: the real images nearest to the centres of k-means of the class's features."""

from typing import ClassVar

from pydantic import PositiveInt

from wmdd.methods.method import Method
from wmdd.settings import Section, StatisticsSettings


class KMeansSettings(Section):
    """Method k-means: the real images nearest to the centres of k-means."""

    section: ClassVar[str] = "kmeans"

    starts: PositiveInt = 5
    """Runs of k-means, each from its own start; that of lowest cost is kept."""


METHOD = Method(
    name="k-means",
    title="k-means",
    summary="real images nearest to the k-means centres of their class",
    source="Lloyd 1982, k-means++ of Arthur and Vassilvitskii 2007; as a coreset DC-BENCH, NeurIPS 2022",
    algorithm="wmdd.methods.k_means.distill",
    settings=(StatisticsSettings, KMeansSettings),
    stages=("statistics", "k-means"),
    real=True,
)
