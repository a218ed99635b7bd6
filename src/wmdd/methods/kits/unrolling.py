"""What methods have in common that differentiate through the training of a network."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from wmdd.context import Context
from wmdd.errors import ConfigError
from wmdd.models.batchnorm import batchnorm_layers
from wmdd.models.building import fresh_network
from wmdd.training.unroll import Outer, Parameters, Step, swept_loss, unrolled_loss
from wmdd.values import ModelSpec

UnrolledLoss = Callable[[nn.Module, Parameters, Sequence[Step], Tensor, Outer], Tensor]
GRADIENTS: Mapping[str, UnrolledLoss] = {"graph": unrolled_loss, "sweep": swept_loss}
"""How the gradient through all steps is found, by the name of the setting."""
SECOND_ORDER = 3
"""So many times the bare forward and backward is a gradient through a gradient."""


def functional_network(spec: ModelSpec, ctx: Context) -> nn.Module:
    """Return a network that is called with parameters from outside; in eval mode nothing else changes its answer.

    Raises:
        ConfigError: it has BatchNorm layers, whose statistics are no parameters.
    """
    model = fresh_network(spec, ctx, "network", 0).eval()
    if batchnorm_layers(model):
        raise ConfigError(
            f"training cannot be unrolled through BatchNorm; got {spec.arch}; use a network without it, such as "
            "convnet3 (instance norm) or convnet3_nn"
        )
    return model
