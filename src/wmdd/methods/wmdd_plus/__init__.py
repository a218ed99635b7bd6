"""WMDD+: WMDD with levers, each of which can be switched on alone: ours.

Those that won in the search on development images are on. With every lever off it is WMDD. docs/methods/wmdd+.md says
what each one does, where it comes from, and what it adds.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from wmdd.methods.method import Method
from wmdd.settings import BarycenterSettings, RecoverSettings, Section, StatisticsSettings
from wmdd.settings.section import Fraction


class PlusSettings(Section):
    """Method wmdd+: which real images are imitated, and which recovered ones are kept."""

    section: ClassVar[str] = "plus"

    keep: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of each class's real images that is imitated: those that the teacher finds easiest; 1 = all."""
    candidates: PositiveInt = 1
    """Images recovered for each one that is kept, each with an atom of its own; 1 = all are kept."""
    choose_by: Literal["batchnorm", "mmd"] = "batchnorm"
    """Keep those whose BatchNorm moments together are nearest to the class's, or whose features have the least MMD² to
    those of real images."""


class PlusRecoverSettings(RecoverSettings):
    """Stage 4 with levers: what images start from, which statistics are theirs, and how they are kept natural."""

    lr: PositiveFloat = 0.1
    """Learning rate in normalised pixels; cosine to zero."""
    ce_weight: NonNegativeFloat = 1.0
    """Weight of a cross-entropy term beside the feature loss: each view sure of its class."""
    start: Literal["noise", "real", "cell", "mosaic"] = "cell"  # pyright: ignore[reportIncompatibleVariableOverride]
    """Start from noise, random real images, the real image nearest to each atom, or 2 x 2 of its cell's nearest."""
    statistics: Literal["class", "cell", "blend"] = "class"
    """BatchNorm statistics to match: all images of a class together those of the class; or each image those of the real
    images that belong to its atom, or a blend of these with the class's."""
    shrinkage: PositiveFloat = 50.0
    """Of statistics blend: a cell of this many images counts half, the class the other half."""
    set_share: Fraction = 1.0
    """Share of the feature loss that compares the views of a class's images, taken as a set, with set_of."""
    set_loss: Literal["wasserstein", "mmd_rbf"] = "mmd_rbf"
    """How sets are compared: W2², or the MMD² of method mmd, which compares with real features alone."""
    set_of: Literal["real", "atoms"] = "real"
    """What the set is compared with: features of real images drawn in each step, or the weighted atoms."""
    steps_of: Literal["pixel", "image"] = "image"
    """What has steps of one size, whatever its gradient: every pixel, as in Adam, or every image, whose pixels then
    move as far as their gradients say."""
    border: Literal["inside", "uniform"] = "inside"
    """Crops lie inside the image; or anywhere, mirrored beyond its border, so that each pixel is seen equally often."""
    tv: NonNegativeFloat = 0.0
    """Weight of the total variation: the mean difference of neighbouring pixels, in normalised pixels."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of a moving average of the images over the steps, which is then the result; 0 = the last step's."""

    @model_validator(mode="after")
    def _agreed(self) -> "PlusRecoverSettings":
        if self.statistics != "class" and self.bn != "per_class":
            raise ValueError(
                f"statistics of cells need bn per_class; got statistics {self.statistics} and bn {self.bn}; set "
                "recover.statistics class, or recover.bn per_class"
            )
        if self.set_share and (self.feature_loss, self.form) != ("wasserstein", "squared"):
            raise ValueError(
                f"set_share is a share of the squared Wasserstein loss; got feature_loss {self.feature_loss} and form "
                f"{self.form}; set recover.set_share 0, or leave these two at their defaults"
            )
        if (self.set_loss, self.set_of) == ("mmd_rbf", "atoms"):
            raise ValueError(
                f"MMD compares a set with real features; got set_loss {self.set_loss} and set_of {self.set_of}; set "
                "recover.set_of real, or recover.set_loss wasserstein"
            )
        return self


METHOD = Method(
    name="wmdd+",
    title="WMDD+",
    summary="ours: wmdd for each class's easy half; images from their atoms, matched as a set, sure of their class",
    source="built on Dataset Distillation via the Wasserstein Metric, ICCV 2025, arXiv:2311.18531; to our own "
    "specification",
    algorithm="wmdd.methods.wmdd_plus.distill",
    settings=(StatisticsSettings, BarycenterSettings, PlusRecoverSettings, PlusSettings),
    stages=("easy", "statistics", "barycenter", "cells", "cell_statistics", "recover_plus", "choose"),
    losses={
        "loss": "total",
        "feature_loss": "feature term",
        "set_loss": "distance of the set of views",
        "ce_loss": "cross-entropy",
        "bn_loss": "BatchNorm term",
        "tv_loss": "total variation",
    },
    needs_batchnorm=True,
)
