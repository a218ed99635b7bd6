"""KIP: images on which kernel regression predicts the real ones."""

from typing import ClassVar

from pydantic import PositiveFloat, PositiveInt

from wmdd.methods.method import Method
from wmdd.settings import Section, Whitening


class KipSettings(Section):
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
    zca: Whitening = "none"
    """ZCA whitening of what networks see, of at most 4,096 numbers an image: its ridge a tenth of the mean variance of
    standardised channels, the paper's for colour images, or 0.1 of pixels in [0, 1], as MTT has it; or none."""


METHOD = Method(
    name="kip",
    title="KIP",
    summary="images on which kernel regression predicts the real ones (ICLR 2021)",
    source="Dataset Meta-Learning from Kernel Ridge-Regression, ICLR 2021, arXiv:2011.00050",
    algorithm="wmdd.methods.kip.distill",
    settings=(KipSettings,),
    stages=("kip",),
    losses={"loss": "error of kernel regression"},
    own_procedure="kernel",
)
