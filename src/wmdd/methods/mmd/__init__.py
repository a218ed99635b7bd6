"""MMD: WMDD whose images match all real features under a kernel, instead of the atoms of a barycenter."""

from typing import ClassVar, Literal

from wmdd.methods.method import Method
from wmdd.settings import FeatureMatchingSettings, Section, StatisticsSettings


class MmdSettings(Section):
    """Method mmd: what is compared with the class's real features."""

    section: ClassVar[str] = "mmd"

    kernel: Literal["rbf", "linear"] = "rbf"
    """A mixture of five Gaussians, or the inner product, which compares means alone."""


METHOD = Method(
    name="mmd",
    title="MMD",
    summary="wmdd's ablation: images that match all real features under a kernel",
    source="the ablation of arXiv:2311.18531, to our own specification: no public code",
    algorithm="wmdd.methods.mmd.distill",
    settings=(StatisticsSettings, FeatureMatchingSettings, MmdSettings),
    stages=("statistics", "invert"),
    losses={"loss": "total", "feature_loss": "feature term", "ce_loss": "cross-entropy", "bn_loss": "BatchNorm term"},
    needs_batchnorm=True,
)
