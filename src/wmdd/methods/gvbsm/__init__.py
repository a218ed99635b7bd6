"""G-VBSM: images on which several teachers agree, under statistics of all their layers; they label together too."""

from typing import Annotated, ClassVar

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from wmdd.methods.method import Method
from wmdd.settings import OptimisationSettings, StatisticsSettings


class GvbsmSettings(OptimisationSettings):
    """Method gvbsm: several teachers, statistics of convolutions, images of a class kept apart; values for ImageNet."""

    section: ClassVar[str] = "gvbsm"

    iterations: PositiveInt = 4000
    """Adam steps."""
    lr: PositiveFloat = 0.1
    """Learning rate in normalised pixels; cosine to zero."""
    roll: NonNegativeInt = 32
    """Largest cyclic shift of a step's views in pixels, down and to the right."""
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest shift of a view in shares of its side, over a margin of zeros, in place of crops; the authors' views of
    CIFAR have 1/8. 0 = crops."""
    teachers: tuple[str, ...] = ("mobilenetv2", "efficientnet_b0", "shufflenetv2_x0_5")
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

    @property
    def shared_view(self) -> bool:
        """Whether all images of a group have the same crop and flip in a step: yes, as in the authors' code."""
        return True


METHOD = Method(
    name="gvbsm",
    title="G-VBSM",
    summary="images on which several teachers agree, under statistics of all their layers (CVPR 2024)",
    source="Generalized Large-Scale Data Condensation via Various Backbone and Statistical Matching, CVPR 2024, "
    "arXiv:2311.17950",
    algorithm="wmdd.methods.gvbsm.distill",
    settings=(StatisticsSettings, GvbsmSettings),
    stages=("layer_statistics", "gvbsm"),
    losses={"loss": "total", "ce_loss": "cross-entropy", "bn_loss": "statistics", "density_loss": "densification"},
    networks=("gvbsm.teachers",),
)
