"""Settings of the methods that match gradients (DC, DSA) or mean features (DM) of fresh random networks."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from wmdd.settings.section import Positive, Rate, Section
from wmdd.settings.strategy import FULL_DSA, NO_DSA, Strategy

_INNER = {30: 20, 40: 15}


class MatchingSettings(Section):
    """What all of them have in common."""

    arch: str = "convnet3"
    """Network that is drawn afresh for each iteration; `wmdd list models` names them."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Of the SGD on the images."""
    batch_real: Positive = 256
    """Real images of each class that a step looks at."""
    start: Literal["noise", "real"] = "real"
    """Start from Gaussian noise, or from random real images of the class."""
    strategy: Strategy = FULL_DSA
    """Siamese augmentation of real and distilled images alike: groups joined by underscores, or none."""


class GradientSettings(MatchingSettings):
    """What DC and DSA have in common."""

    iterations: Positive = 1000
    """Networks, one after the other."""
    lr: Rate = 0.1
    """Learning rate of the images, in normalised pixels; the loss is a sum over classes and rows of weights."""
    outer: Positive | None = None
    """Image steps for each network; none = IPC."""
    inner: Positive | None = None
    """Epochs on the images between them; none = the paper's: 500 / IPC, but 20 and 15 at IPC 30 and 40."""
    lr_net: Rate = 0.01
    """Learning rate of the networks, plain SGD."""
    batch_net: Positive = 256
    """Images a step when the networks are trained."""
    distance: Literal["rows", "mse", "cos"] = "rows"
    """Of gradients: one minus cosine for each row of weights; squared difference; one minus cosine of all together."""

    def loops(self, ipc: int) -> tuple[int, int]:
        """Return image steps for each network, and epochs of its training between them, for `ipc` images a class."""
        return self.outer or ipc, self.inner or _INNER.get(ipc, max(1, 500 // ipc))


class DcSettings(GradientSettings):
    """DC: images whose gradients are those of real images, for networks on their way from random weights."""

    section: ClassVar[str] = "dc"

    start: Literal["noise", "real"] = "noise"
    """Start from Gaussian noise, or from random real images of the class."""
    strategy: Strategy = NO_DSA
    """Siamese augmentation of real and distilled images alike: groups joined by underscores, or none."""


class DsaSettings(GradientSettings):
    """DSA: DC with Siamese augmentation, from real images."""

    section: ClassVar[str] = "dsa"


class DmSettings(MatchingSettings):
    """DM: images whose mean features are those of real images, for random networks."""

    section: ClassVar[str] = "dm"

    iterations: Positive = 20_000
    """Networks, and steps."""
    lr: Rate | None = None
    """Learning rate of the images, in normalised pixels; none = the paper's: 1, and 10 from IPC 100 on."""

    def rate(self, ipc: int) -> float:
        """Return the learning rate for `ipc` images a class."""
        return self.lr or (1.0 if ipc < 100 else 10.0)
