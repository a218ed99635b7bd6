"""SRe2L: images that the teacher classifies, under BatchNorm statistics of the whole training set."""

from typing import Literal

from wmdd.methods.method import Method
from wmdd.settings import InversionSettings, StatisticsSettings


class GlobalRecoverSettings(InversionSettings):
    """Stage 4, under BatchNorm statistics of the whole set unless told otherwise."""

    bn: Literal["per_class", "global", "none"] = "global"
    """Which BatchNorm statistics the images should have."""


METHOD = Method(
    name="sre2l",
    title="SRe2L",
    summary="images that the teacher classifies, under BatchNorm statistics of the whole set (NeurIPS 2023)",
    source="Squeeze, Recover and Relabel, NeurIPS 2023, arXiv:2306.13092",
    algorithm="wmdd.methods.sre2l.distill",
    settings=(StatisticsSettings, GlobalRecoverSettings),
    stages=("statistics", "invert"),
    losses={"loss": "total", "ce_loss": "cross-entropy", "bn_loss": "BatchNorm term"},
    needs_batchnorm=True,
    bibtex="""@inproceedings{yin2023sre2l,
  title     = {Squeeze, Recover and Relabel: Dataset Condensation at ImageNet Scale From A New Perspective},
  author    = {Yin, Zeyuan and Xing, Eric and Shen, Zhiqiang},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year      = {2023}
}
""",
)
