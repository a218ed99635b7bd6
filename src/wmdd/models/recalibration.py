"""BatchNorm recalibration: running statistics taken anew from given images."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from wmdd.models.taps import batchnorm_layers


def recalibrate_batchnorm(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Let the BatchNorm layers normalise by the mean of the batches' moments from now on, until `train()`.

    Each batch counts the same. Differs from the reference code of DC and DM, which moves the running statistics a tenth
    of the way.
    """
    layers = [layer for _, layer in batchnorm_layers(model) if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d)]
    usual = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # cumulative
    with torch.no_grad():
        model.train()
        for images in batches:
            model(images)
    for layer, momentum in zip(layers, usual, strict=True):
        layer.momentum = momentum
        layer.eval()
