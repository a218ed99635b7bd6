"""DM: images that have the mean features of real images, for any random network."""

from typing import ClassVar

from wmdd.methods.kits.settings import MeanSettings
from wmdd.methods.method import Method


class DmSettings(MeanSettings):
    """DM: images whose mean features are those of real images, for random networks."""

    section: ClassVar[str] = "dm"


METHOD = Method(
    name="dm",
    title="DM",
    summary="images whose mean features are those of real images, for random networks (WACV 2023)",
    source="Zhao and Bilen, Dataset Condensation with Distribution Matching, WACV 2023, arXiv:2110.04181",
    algorithm="wmdd.methods.dm.distill",
    settings=(DmSettings,),
    stages=("match_means",),
    losses={"loss": "distance of mean features"},
    networks=("dm.arch",),
)
