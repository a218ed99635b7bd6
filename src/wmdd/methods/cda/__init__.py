"""CDA: SRe2L whose crops begin with the whole image and become smaller."""

from typing import Literal

from wmdd.methods.method import Method
from wmdd.methods.sre2l import GlobalRecoverSettings
from wmdd.settings import StatisticsSettings


class CurriculumRecoverSettings(GlobalRecoverSettings):
    """Stage 4, with the paper's curriculum of crops unless told otherwise."""

    curriculum: Literal["none", "cosine", "linear", "step"] = "cosine"
    """How the smallest crop goes from the whole image to curriculum_end; none = crop_min in every step."""


METHOD = Method(
    name="cda",
    title="CDA",
    summary="sre2l whose crops begin with the whole image and become smaller (TMLR 2024)",
    source="Dataset Distillation in Large Data Era, TMLR 2024, arXiv:2311.18838",
    algorithm="wmdd.methods.cda.distill",
    settings=(StatisticsSettings, CurriculumRecoverSettings),
    stages=("statistics", "invert"),
    losses={"loss": "total", "ce_loss": "cross-entropy", "bn_loss": "BatchNorm term"},
    needs_batchnorm=True,
)
