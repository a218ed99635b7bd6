"""G-VBSM: images on which several teachers agree, under statistics of all their layers; they label together too."""

from typing import Annotated, ClassVar

from pydantic import Field, NonNegativeFloat

from wmdd.methods.method import Method
from wmdd.settings import OptimisationSettings, Section, StatisticsSettings


class GvbsmSettings(Section):
    """Method gvbsm: several teachers, statistics of convolutions, images of a class kept apart."""

    section: ClassVar[str] = "gvbsm"

    teachers: tuple[str, ...] = ("convnet3_bn", "mobilenetv2", "shufflenetv2")
    """Further networks beside squeeze.arch, trained as it is; all of them take turns and label together."""
    weight: NonNegativeFloat = 0.01
    """Weight of the term of the statistics."""
    first: NonNegativeFloat = 10.0
    """Factor on the statistics of the first layer."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.8
    """Decay alpha of the moving average of the images' statistics; 0 = those of the step alone."""
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.4
    """Probability with which a convolution is left out in a step."""
    density: NonNegativeFloat = 1.0
    """Weight of data densification."""
    temperature: Annotated[float, Field(gt=1)] = 4.0
    """Temperature tau of data densification."""


class GvbsmRecoverSettings(Section):
    """What gvbsm's recovery reads: its own settings, and those that it shares with other methods."""

    section: ClassVar[str] = "gvbsm"

    gvbsm: GvbsmSettings
    """Losses."""
    recover: OptimisationSettings
    """Optimisation and views."""


METHOD = Method(
    name="gvbsm",
    title="G-VBSM",
    summary="images on which several teachers agree, under statistics of all their layers (CVPR 2024)",
    source="Generalized Large-Scale Data Condensation via Various Backbone and Statistical Matching, CVPR 2024, "
    "arXiv:2311.17950",
    algorithm="wmdd.methods.gvbsm.distill",
    settings=(StatisticsSettings, OptimisationSettings, GvbsmSettings),
    stages=("layer_statistics", "gvbsm"),
    losses={"loss": "total", "ce_loss": "cross-entropy", "bn_loss": "statistics", "density_loss": "densification"},
    networks=("gvbsm.teachers",),
)
