"""DM: images that have the mean features of real images, for any random network."""

from typing import ClassVar

from pydantic import PositiveFloat, PositiveInt

from wmdd.methods.kits.settings import MatchingSettings
from wmdd.methods.method import Method


class DmSettings(MatchingSettings):
    """DM: images whose mean features are those of real images, for random networks."""

    section: ClassVar[str] = "dm"

    iterations: PositiveInt = 20_000
    """Steps, each with a new random network."""
    lr: PositiveFloat | None = None
    """Learning rate of the images, in normalised pixels; none = the paper's: 1, and 10 from IPC 100 on."""

    def rate(self, ipc: int) -> float:
        """Return the learning rate for `ipc` images a class."""
        return self.lr or (1.0 if ipc < 100 else 10.0)


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
