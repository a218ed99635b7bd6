"""BPS: real images from the centres and the margins of the visual patterns of each class."""

from typing import Annotated, ClassVar

from pydantic import Field, PositiveInt

from wmdd.methods.method import Method
from wmdd.settings import Fraction, Section, StatisticsSettings


class BpsSettings(Section):
    """Method bps: real images from the centres and the margins of patterns."""

    section: ClassVar[str] = "bps"

    patterns: PositiveInt | None = None
    """Patterns that k-means cuts each class into; none = half of IPC, rounded up."""
    centres: Fraction = 0.5
    """Share of a pattern's images that are those nearest to its centre; the others come from its margin."""
    margin: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of a pattern, the images that the teacher is least sure of, in which the margin is sought."""
    starts: PositiveInt = 5
    """Runs of k-means, of which the best one counts."""


METHOD = Method(
    name="bps",
    title="BPS",
    summary="real images from the centres and the margins of the patterns of each class (CVPR 2026)",
    source="Shi, Liang and Wen, Balanced Dataset Distillation via Modeling Multiple Visual Pattern Distribution, CVPR "
    "2026; its patterns are replaced",
    algorithm="wmdd.methods.bps.distill",
    settings=(StatisticsSettings, BpsSettings),
    stages=("statistics", "bps"),
    real=True,
)
