"""DSA: gradient matching under a transform that real and distilled images share."""

from typing import ClassVar

from wmdd.methods.kits.settings import GradientSettings
from wmdd.methods.method import Method


class DsaSettings(GradientSettings):
    """DSA: DC with Siamese augmentation, from real images."""

    section: ClassVar[str] = "dsa"


METHOD = Method(
    name="dsa",
    title="DSA",
    summary="dc under one random transform of real and distilled images alike (ICML 2021)",
    source="Zhao and Bilen, Dataset Condensation with Differentiable Siamese Augmentation, ICML 2021, arXiv:2102.08259",
    algorithm="wmdd.methods.dsa.distill",
    settings=(DsaSettings,),
    stages=("match_gradients",),
    losses={"loss": "distance of gradients"},
    networks=("dsa.arch",),
)
