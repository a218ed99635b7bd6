"""Inversion: images that the teacher classifies, under BatchNorm statistics, in the form and the settings of wmdd."""

from typing import Literal

from wmdd.methods.method import Method
from wmdd.settings import InversionSettings, StatisticsSettings


class GlobalRecoverSettings(InversionSettings):
    """Stage 4, under BatchNorm statistics of the whole set unless told otherwise."""

    bn: Literal["per_class", "global", "running", "none"] = "global"
    """BatchNorm statistics that the images should match: exact ones of their class or of the whole set, or the running
    ones that the teacher has stored."""


METHOD = Method(
    name="inversion",
    title="inversion",
    summary="ours: sre2l's terms in wmdd's form and under wmdd's settings, for comparisons at equal settings",
    source="the terms of Squeeze, Recover and Relabel, NeurIPS 2023, arXiv:2306.13092, to our own specification",
    algorithm="wmdd.methods.inversion.distill",
    settings=(StatisticsSettings, GlobalRecoverSettings),
    stages=("statistics", "invert"),
    losses={"loss": "total", "ce_loss": "cross-entropy", "bn_loss": "BatchNorm term"},
    needs_batchnorm=True,
)
