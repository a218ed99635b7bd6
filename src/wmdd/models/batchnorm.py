"""BatchNorm layers of a network: which there are, and by which statistics they normalise."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from wmdd.errors import ConfigError
from wmdd.models.names import BATCHNORM_EXAMPLES
from wmdd.values import ModelSpec


def batchnorm_layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return names and modules of the BatchNorm layers, in module order; the order of `ClassStatistics.layers`."""
    return [(name, module) for name, module in model.named_modules() if isinstance(module, _BatchNorm)]


def batchnorm_widths(model: nn.Module) -> tuple[int, ...]:
    """Return the channels of each layer of `batchnorm_layers`; their sum is F."""
    return tuple(int(layer.num_features) for _, layer in batchnorm_layers(model) if isinstance(layer, _BatchNorm))


def require_batchnorm(model: nn.Module, arch: str) -> None:
    """Raise `ConfigError` if the network has no BatchNorm layer with running statistics to recover images from."""
    layers = [layer for _, layer in batchnorm_layers(model) if isinstance(layer, _BatchNorm)]
    if not layers or any(layer.running_mean is None for layer in layers):
        usable = ", ".join(BATCHNORM_EXAMPLES)
        raise ConfigError(f"recovery needs a teacher with BatchNorm; got {arch}, which has none; use one of {usable}")


def running_moments(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Return running mean and variance of all layers side by side, `(F,)` each, of a network that has them.

    They are averages over the batches of the network's own training: of augmented images, the variances unbiased.
    """
    layers = [layer for _, layer in batchnorm_layers(model) if isinstance(layer, _BatchNorm)]
    means = [layer.running_mean for layer in layers if layer.running_mean is not None]
    variances = [layer.running_var for layer in layers if layer.running_var is not None]
    return torch.cat(means), torch.cat(variances)


def takes_single_images(model: nn.Module, spec: ModelSpec) -> bool:
    """Return whether the network can be trained on batches of one image: whether no BatchNorm layer sees one value."""
    image = torch.zeros(1, spec.channels, spec.image_size, spec.image_size)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):  # for dropout
            model.train()(image)
    except ValueError:  # torch: more than 1 value per channel expected
        return False
    return True


@contextmanager
def batch_statistics(model: nn.Module) -> Generator[None]:
    """Let BatchNorm layers normalise by the statistics of each batch inside the `with`, and keep none of them."""
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    before = [(layer.training, layer.momentum) for layer in layers]
    for layer in layers:
        layer.train()
        layer.momentum = 0.0  # running statistics stay as they are
    try:
        yield
    finally:
        for layer, (training, momentum) in zip(layers, before, strict=True):
            layer.train(training)
            layer.momentum = momentum


def recalibrate_batchnorm(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Let the BatchNorm layers normalise by the mean of the batches' moments until `train()` is called.

    Each batch counts the same. Differs from the reference code of DC and DM, which moves the running statistics a tenth
    of the way.
    """
    layers = [layer for _, layer in batchnorm_layers(model) if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d)]
    usual = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
    with torch.no_grad():
        model.train()
        for number, images in enumerate(batches, start=1):
            for layer in layers:
                layer.momentum = 1 / number  # as `None` would do, which asks the device for the number
            model(images)
    for layer, momentum in zip(layers, usual, strict=True):
        layer.momentum = momentum
        layer.eval()
