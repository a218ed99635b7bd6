"""KIP: images on which kernel regression predicts the real ones."""

from typing import ClassVar

from pydantic import PositiveFloat, PositiveInt

from wmdd.methods.kits.settings import RegressionSettings
from wmdd.methods.method import Method


class KipSettings(RegressionSettings):
    """KIP: images on which regression with the kernel of a wide network predicts the real ones."""

    section: ClassVar[str] = "kip"

    iterations: PositiveInt = 1000
    """Steps of Adam."""
    lr: PositiveFloat = 0.04
    """Learning rate of Adam, in normalised pixels and in labels."""
    batch: PositiveInt = 5000
    """Real images per step, equally many of each class."""
    learn_labels: bool = False
    """Optimise the labels too."""


METHOD = Method(
    name="kip",
    title="KIP",
    summary="images on which kernel regression predicts the real ones (ICLR 2021)",
    source="Dataset Meta-Learning from Kernel Ridge-Regression, ICLR 2021, arXiv:2011.00050; Dataset "
    "Distillation with Infinitely Wide Convolutional Networks, NeurIPS 2021, arXiv:2107.13034",
    algorithm="wmdd.methods.kip.distill",
    settings=(KipSettings,),
    stages=("kip",),
    losses={"loss": "error of kernel regression"},
    own_procedure="kernel",
)
