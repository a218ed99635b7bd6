"""CDA: SRe2L whose crops begin with the whole image and become smaller."""

from typing import ClassVar, Literal

from wmdd.methods.method import Method
from wmdd.methods.sre2l import Sre2lSettings
from wmdd.settings import StatisticsSettings


class CdaSettings(Sre2lSettings):
    """Method cda: recovery as sre2l has it, with the paper's curriculum of crops."""

    section: ClassVar[str] = "cda"

    curriculum: Literal["none", "cosine", "linear", "step"] = "cosine"
    """How the smallest crop goes from the whole image to curriculum_end; none = crop_min in every step."""


METHOD = Method(
    name="cda",
    title="CDA",
    summary="sre2l whose crops begin with the whole image and become smaller (TMLR 2024)",
    source="Dataset Distillation in Large Data Era, TMLR 2024, arXiv:2311.18838",
    algorithm="wmdd.methods.cda.distill",
    settings=(StatisticsSettings, CdaSettings),
    stages=("statistics", "invert"),
    losses={"loss": "total", "ce_loss": "cross-entropy", "bn_loss": "BatchNorm term"},
    needs_batchnorm=True,
)
