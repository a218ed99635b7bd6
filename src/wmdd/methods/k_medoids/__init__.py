"""k-medoids: the real images nearest to the atoms of the Wasserstein barycenter of their class."""

from wmdd.methods.method import Method
from wmdd.settings import BarycenterSettings, StatisticsSettings

METHOD = Method(
    name="k-medoids",
    title="k-medoids",
    summary="real images nearest to the atoms of the class's Wasserstein barycenter, one for each; evaluated beside",
    source="Kaufman and Rousseeuw 1987 for medoids; here those of wmdd's barycenter, to our own specification",
    algorithm="wmdd.methods.k_medoids.distill",
    settings=(StatisticsSettings, BarycenterSettings),
    stages=("statistics", "barycenter", "k-medoids"),
    real=True,
)
