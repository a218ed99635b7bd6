"""Herding: real images whose mean feature follows the class's own, one after the other."""

from wmdd.methods.method import Method
from wmdd.settings import StatisticsSettings

METHOD = Method(
    name="herding",
    title="herding",
    summary="real images whose mean feature follows that of their class",
    source="Welling, ICML 2009; as a coreset iCaRL, CVPR 2017, arXiv:1611.07725",
    algorithm="wmdd.methods.herding.distill",
    settings=(StatisticsSettings,),
    stages=("statistics", "herding"),
    real=True,
)
