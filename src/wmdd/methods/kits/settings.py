"""Settings that several methods have: matching under fresh random networks, regression with tangent kernels."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from wmdd.settings import FULL_DSA, Section, Strategy, TangentKernel, Whitening

_INNER = {30: 20, 40: 15}


class MatchingSettings(Section):
    """What DC, DSA, DM and DataDAM have in common."""

    arch: str = "convnet3"
    """Network, initialised anew for each iteration; `wmdd list models` names them."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Momentum of SGD on the images."""
    batch_real: PositiveInt = 256
    """Real images per class and step."""
    start: Literal["noise", "real"] = "real"
    """Start from Gaussian noise, or from random real images of the class."""
    strategy: Strategy = FULL_DSA
    """Siamese augmentation of real and distilled images alike: groups joined by underscores, or none."""


class GradientSettings(MatchingSettings):
    """What DC and DSA have in common."""

    iterations: PositiveInt = 1000
    """Number of networks, one after the other."""
    lr: PositiveFloat = 0.1
    """Learning rate of the images, in normalised pixels; the loss is a sum over classes and rows of weights."""
    outer: PositiveInt | None = None
    """Image steps for each network; none = IPC."""
    inner: PositiveInt | None = None
    """Epochs of the network's training between them; none = the paper's: 500 / IPC, but 20 and 15 at IPC 30 and 40."""
    lr_net: PositiveFloat = 0.01
    """Learning rate of the networks (plain SGD)."""
    batch_net: PositiveInt = 256
    """Images per step when the networks are trained."""
    distance: Literal["rows", "mse", "cos"] = "rows"
    """Distance of gradients: 1 - cosine for each row of weights; squared difference; 1 - cosine of all together."""

    def loops(self, ipc: int) -> tuple[int, int]:
        """Return image steps for each network, and epochs of its training between them, for `ipc` images a class."""
        return self.outer or ipc, self.inner or _INNER.get(ipc, max(1, 500 // ipc))


class MeanSettings(MatchingSettings):
    """What DM and DataDAM have in common."""

    iterations: PositiveInt = 20_000
    """Steps, each with a new random network."""
    lr: PositiveFloat | None = None
    """Learning rate of the images, in normalised pixels; none = the paper's: 1, and 10 from IPC 100 on."""

    def rate(self, ipc: int) -> float:
        """Return the learning rate for `ipc` images a class."""
        return self.lr or (1.0 if ipc < 100 else 10.0)


class RegressionSettings(Section):
    """What KIP and label solve have in common."""

    kernel: TangentKernel = "fc"
    """Infinitely wide network: fc has one hidden layer; convnet3, the second paper's, a convolution and three blocks of
    convolution, ReLU and 2x2 mean pooling. The latter compares all places of two images: a pair costs side⁴."""
    zca: Whitening = "none"
    """ZCA whitening of what networks see, of at most 4,096 numbers an image: its ridge a tenth of the mean variance of
    standardised channels, the paper's for colour images, or 0.1 of pixels in [0, 1], as MTT has it; or none."""
