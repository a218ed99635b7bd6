"""Taps: read a network's features, and what enters or leaves its layers, inside a `with`, leaving no hook behind."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from wmdd.errors import ConfigError
from wmdd.models.batchnorm import batchnorm_layers

OnInput = Callable[[int, Tensor], Tensor | None]
"""Called with a layer's position and input; a tensor that it returns takes the input's place."""


class FeatureTap:
    """Holds the features of the latest forward pass."""

    def __init__(self) -> None:
        self._features: Tensor | None = None

    @property
    def features(self) -> Tensor:
        """Penultimate features `(B, D)` of the latest forward pass, attached to its graph."""
        if self._features is None:
            raise RuntimeError("no forward pass was made inside this tap")
        return self._features

    def _read(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:  # noqa: ARG002 - torch's signature
        self._features = inputs[0].flatten(1)


@contextmanager
def tap_features(model: nn.Module) -> Generator[FeatureTap, None, None]:
    """Record the penultimate features, the input of the last linear layer, of every forward pass inside the `with`."""
    tap = FeatureTap()
    handle = final_classifier(model).register_forward_pre_hook(tap._read)  # pyright: ignore[reportPrivateUsage]
    try:
        yield tap
    finally:
        handle.remove()


@contextmanager
def tap_batchnorm(model: nn.Module, on_input: OnInput) -> Generator[None, None, None]:
    """Call `on_input(position, x)` on the input of each BatchNorm layer during every forward pass inside the `with`.

    Positions count the layers of `batchnorm_layers(model)`.
    """
    with tap_inputs((layer for _, layer in batchnorm_layers(model)), on_input):
        yield


@contextmanager
def tap_inputs(layers: Iterable[nn.Module], on_input: OnInput) -> Generator[None, None, None]:
    """Call `on_input(position, x)` on the input of each of `layers` during every forward pass inside the `with`."""
    with ExitStack() as stack:
        for position, layer in enumerate(layers):
            handle = layer.register_forward_pre_hook(partial(_offer, on_input, position))
            stack.callback(handle.remove)
        yield


@contextmanager
def tap_outputs(layers: Iterable[nn.Module], on_output: Callable[[int, Tensor], None]) -> Generator[None, None, None]:
    """Call `on_output(position, y)` on the output of each of `layers` during every forward pass inside the `with`."""

    def offer(position: int, module: nn.Module, inputs: object, output: Tensor) -> None:
        del module, inputs
        on_output(position, output)

    with ExitStack() as stack:
        for position, layer in enumerate(layers):
            stack.callback(layer.register_forward_hook(partial(offer, position)).remove)
        yield


def features_and_logits(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return penultimate features `(B, D)` and logits `(B, C)` from one forward pass."""
    with tap_features(model) as tap:
        logits = model(x)
    return tap.features, logits


def final_classifier(model: nn.Module) -> nn.Linear:
    """Return the last linear layer, whose input are the features and whose output are the logits.

    Raises:
        ConfigError: the network does not end in one linear layer.
    """
    get = getattr(model, "get_classifier", None)
    layer = get() if callable(get) else getattr(model, "fc", None)
    if not isinstance(layer, nn.Linear):
        got = f"{type(model).__name__} ending in {type(layer).__name__}"
        raise ConfigError(f"networks must end in one linear layer; got {got}; choose another")
    return layer


def reorder_head(model: nn.Module, rows: Sequence[int]) -> None:
    """Put the outputs of the last linear layer into another order, in place: the new first is the old `rows[0]`."""
    layer = final_classifier(model)
    with torch.no_grad():
        for values in layer.parameters():
            values.copy_(values[list(rows)])


def _offer(
    on_input: OnInput,
    position: int,
    module: nn.Module,  # noqa: ARG001 - torch passes it
    inputs: tuple[Tensor, ...],
) -> tuple[Tensor, ...] | None:
    replaced = on_input(position, inputs[0])
    return None if replaced is None else (replaced, *inputs[1:])
