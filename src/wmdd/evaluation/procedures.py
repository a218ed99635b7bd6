"""Ways of using a set that are its method's own: kernel regression (KIP), and steps of learned lengths (DD)."""

import torch
from torch import Tensor, nn

from wmdd.data.inputs import distilled_inputs
from wmdd.errors import ConfigError
from wmdd.evaluation.protocols import EvaluationProtocol
from wmdd.evaluation.supervision import Lesson, Way
from wmdd.models import batchnorm_layers
from wmdd.training.ntk import centred_classes, kernel_regression
from wmdd.training.unroll import schedule, unroll, xavier_start
from wmdd.values import DistilledSet

KERNEL_METHODS = frozenset({"kip", "ls"})
"""Methods whose sets are made for kernel regression."""


def way_of(protocol: EvaluationProtocol, distilled: DistilledSet) -> Way:
    """Return what is done with a set under a protocol.

    Of its own, a set with several learned rates has as many steps; one with a single rate, or none, is trained on.
    """
    if protocol.way != "own":
        return protocol.way
    if distilled.method in KERNEL_METHODS:
        return "kernel"
    return "steps" if distilled.rates is not None and len(distilled.rates) > 1 else "training"


class KernelRegression(nn.Module):
    """Answers as a wide network would that was trained to its end on a set: on its targets, or else its classes."""

    def __init__(self, distilled: DistilledSet, device: torch.device) -> None:
        super().__init__()
        targets = distilled.targets
        if targets is None:
            targets = centred_classes(distilled.labels, len(distilled.classes))
        self._support = distilled_inputs(distilled, slice(None), device)
        self._targets = targets.to(device)

    def forward(self, images: Tensor) -> Tensor:
        """Return float64 answers `(B, C)` to normalised images."""
        with torch.autocast(images.device.type, enabled=False):
            return kernel_regression(self._support, self._targets, images)


def take_steps(model: nn.Module, arch: str, lesson: Lesson, generator: torch.Generator) -> nn.Module:
    """Return the network after the set's own steps, from fresh weights as in Wang et al. (2018), see `xavier_start`.

    Step t is plain gradient descent of length `rates[t]` on the cross-entropy of image t mod ipc of every class.

    Args:
        model: architecture to begin with, on the device; its own weights are replaced.
        arch: its name.
        lesson: the set.
        generator: of the fresh weights.

    Raises:
        ConfigError: the network has BatchNorm.
    """
    if batchnorm_layers(model):
        raise ConfigError(f"a set's own steps are for students without BatchNorm; got {arch}; use one such as convnet3")
    distilled, device = lesson.distilled, lesson.ctx.device
    assert distilled.rates is not None
    images = distilled_inputs(distilled, slice(None), device)
    steps = schedule(images, distilled.labels.to(device), ipc=distilled.ipc, steps=len(distilled.rates))
    start = xavier_start(model, generator)
    weights = unroll(model.eval(), start, steps, distilled.rates.to(device), create_graph=False)
    model.load_state_dict({**model.state_dict(), **weights})
    return model
