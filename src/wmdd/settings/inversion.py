"""Settings of the methods that invert statistics of networks, where they need more than `recover`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from wmdd.settings.chain import RecoverSettings
from wmdd.settings.section import Fraction, NonNegative, Positive, Rate, Section


class MmdSettings(Section):
    """Method mmd: what is compared with the class's real features."""

    section: ClassVar[str] = "mmd"

    kernel: Literal["rbf", "linear"] = "rbf"
    """A mixture of five Gaussians, or the inner product, which compares means alone."""


class GvbsmSettings(Section):
    """Method gvbsm: several teachers, statistics of convolutions, images of a class kept apart."""

    section: ClassVar[str] = "gvbsm"

    teachers: tuple[str, ...] = ("convnet3_bn", "mobilenetv2", "shufflenetv2")
    """Further networks beside squeeze.arch, trained as it is; all of them take turns and label together."""
    weight: NonNegative = 0.01
    """Of the statistics."""
    first: NonNegative = 10.0
    """Factor on the statistics of the first layer."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.8
    """Decay alpha of the moving average of the images' statistics; 0 = those of the step alone."""
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.4
    """Probability with which a convolution is left out in a step."""
    density: NonNegative = 1.0
    """Weight of data densification."""
    temperature: Annotated[float, Field(gt=1)] = 4.0
    """Temperature tau of data densification."""


class GvbsmRecoverSettings(Section):
    """What gvbsm's recovery reads: its own settings, and those that it shares with other methods."""

    section: ClassVar[str] = "gvbsm"

    gvbsm: GvbsmSettings
    """Losses."""
    recover: RecoverSettings
    """Optimisation and views."""


class ScddSettings(Section):
    """Method scdd: how its teacher learns without labels, and the last layer with them."""

    section: ClassVar[str] = "scdd"

    epochs: Positive = 200
    """Passes over the images without labels."""
    batch: Positive = 256
    """Images a step, each seen twice."""
    lr: Rate = 0.06
    """Learning rate at the start; SGD with momentum 0.9, cosine."""
    weight_decay: NonNegative = 1e-4
    """Weight decay."""
    temperature: Rate = 0.5
    """Temperature of the contrastive loss (NT-Xent)."""
    projection: Positive = 128
    """Width of the vectors that are compared."""
    crop_min: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Smallest share of the area that a view keeps."""
    flip: bool = True
    """Mirror half of the views."""
    color: Fraction = 0.8
    """Probability with which a view's brightness, saturation and contrast are changed."""
    probe_epochs: Positive = 100
    """Passes over the features with labels."""
    probe_lr: Rate = 0.01
    """Learning rate of the last layer (AdamW); cosine."""


class SelfSupervisedSettings(Section):
    """What the self-supervised squeeze reads: the network that `squeeze` names, and how scdd trains it."""

    section: ClassVar[str] = "scdd"

    arch: str
    """Network."""
    stem: str
    """First layers."""
    seed: int
    """Seed of the teacher, apart from the run's."""
    training: ScddSettings
    """Both trainings."""
