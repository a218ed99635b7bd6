"""DC: images that give networks in training the gradients that real images give them."""

from typing import ClassVar, Literal

from wmdd.methods.kits.settings import GradientSettings
from wmdd.methods.method import Method
from wmdd.settings import NO_DSA, Strategy


class DcSettings(GradientSettings):
    """DC: images whose gradients are those of real images, for networks trained from random weights."""

    section: ClassVar[str] = "dc"

    start: Literal["noise", "real"] = "noise"
    """Start from Gaussian noise, or from random real images of the class."""
    strategy: Strategy = NO_DSA
    """Siamese augmentation of real and distilled images alike: groups joined by underscores, or none."""


METHOD = Method(
    name="dc",
    title="DC",
    summary="images whose gradients are those of real images, for networks in training (ICLR 2021)",
    source="Zhao, Mopuri and Bilen, Dataset Condensation with Gradient Matching, ICLR 2021, arXiv:2006.05929",
    algorithm="wmdd.methods.dc.distill",
    settings=(DcSettings,),
    stages=("match_gradients",),
    losses={"loss": "distance of gradients"},
    networks=("dc.arch",),
)
