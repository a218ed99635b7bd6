"""BatchNorm layers of a random network: by which images they normalise before it has been trained."""

from collections.abc import Callable

import torch
from torch import nn

from wmdd.data.class_batches import ClassBatches
from wmdd.models.batchnorm import batchnorm_layers, recalibrate_batchnorm

BATCHNORM_IMAGES = 16
"""Real images of each class by which BatchNorm layers are recalibrated."""


def recalibrate_by_classes(model: nn.Module, real: ClassBatches, stream_of: Callable[[int], torch.Generator]) -> None:
    """Let BatchNorm layers, if there are any, normalise by real images of all classes: one class would not do.

    `stream_of` gives the random stream by which a class's images are drawn.
    """
    if not batchnorm_layers(model):
        return
    labels = range(len(real.images.classes))
    few = [real.draw(label, BATCHNORM_IMAGES, stream_of(label)) for label in labels]
    recalibrate_batchnorm(model, (torch.cat(few),))
