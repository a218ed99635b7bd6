"""k-center: real images that leave no other image of the class far away, by farthest-first traversal."""

from wmdd.methods.method import Method
from wmdd.settings import StatisticsSettings

METHOD = Method(
    name="k-center",
    title="k-center",
    summary="real images that leave no other image of their class far away",
    source="Gonzalez 1985; as a coreset Sener and Savarese, ICLR 2018, arXiv:1708.00489",
    algorithm="wmdd.methods.k_center.distill",
    settings=(StatisticsSettings,),
    stages=("statistics", "k-center"),
    real=True,
)
