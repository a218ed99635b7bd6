"""SRe2L: images that the teacher classifies, under its running BatchNorm statistics, as its scripts have it."""

from typing import ClassVar, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from wmdd.methods.method import Method
from wmdd.settings import InversionSettings, StatisticsSettings


class Sre2lSettings(InversionSettings):
    """Method sre2l: recovery with the values of the authors' script for ImageNet-1K."""

    section: ClassVar[str] = "sre2l"

    iterations: PositiveInt = 4000
    """Adam steps."""
    roll: NonNegativeInt = 32
    """Largest cyclic shift of a step's views in pixels, down and to the right."""
    form: Literal["squared", "reference"] = "reference"
    """reference = unsquared norms, and one crop and flip for all images of a group; squared = as wmdd has it."""
    bn: Literal["per_class", "global", "running", "none"] = "running"
    """BatchNorm statistics that the images should match: the running ones that the teacher has stored, or exact ones of
    their class or of the whole set."""
    bn_weight: NonNegativeFloat = 0.01
    """Weight lambda of the BatchNorm term, in nats for a unit of its norms."""
    bn_first: NonNegativeFloat = 10.0
    """Factor on the term of the first BatchNorm layer."""


METHOD = Method(
    name="sre2l",
    title="SRe2L",
    summary="images that the teacher classifies, under its running BatchNorm statistics (NeurIPS 2023)",
    source="Squeeze, Recover and Relabel, NeurIPS 2023, arXiv:2306.13092",
    algorithm="wmdd.methods.sre2l.distill",
    settings=(StatisticsSettings, Sre2lSettings),
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
