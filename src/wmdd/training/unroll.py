"""Training on a few images as a differentiable function: T steps of plain SGD, and gradients through all of them.

    w_{t+1} = w_t - r_t grad_w CE(f(x_t; w_t), y_t),   t = 0 .. T-1

Dataset distillation (Wang et al. 2018, arXiv:1811.10959) and trajectory matching (Cazenavette et al. 2022,
arXiv:2203.11932) both minimise a function of w_T over the images x_t and the rates r_t. `unroll` keeps the graph of all
steps, so its memory grows with T; `swept_loss` keeps the weights alone and rebuilds each step's graph on the way
back. Both give the same gradients.

Networks are called as functions of their parameters; buffers count as constants, so networks with BatchNorm do not
belong here. Symbols: `T` steps, `B` images a step, `P` parameters.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from wmdd.context import Context, sent
from wmdd.errors import ConfigError
from wmdd.models.batchnorm import batchnorm_layers
from wmdd.models.building import fresh_network
from wmdd.training.losses import label_loss
from wmdd.values import ModelSpec

Parameters = Mapping[str, Tensor]
"""A network's parameters by name."""
Step = tuple[Tensor, Tensor]
"""Images `(B, ch, R, R)` and labels `(B,)` of one step."""
Outer = Callable[[dict[str, Tensor]], Tensor]
"""Trained parameters → scalar that is to be minimised."""
SECOND_ORDER = 3
"""Cost of a gradient through a gradient, in units of a forward and backward pass."""


def functional_network(spec: ModelSpec, ctx: Context) -> nn.Module:
    """Return a network for functional calls: in eval mode, its output depends on parameters and inputs alone.

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


def unroll(
    model: nn.Module, start: Parameters, steps: Iterable[Step], rates: Tensor, *, create_graph: bool = True
) -> dict[str, Tensor]:
    """Return the parameters after one step of plain SGD for each batch.

    Args:
        model: a network whose output depends on its parameters and the images alone.
        start: parameters to start from; they are not changed.
        steps: images and labels, T of them; asked for one at a time.
        rates: learning rate of each step, `(T,)`.
        create_graph: keep the graph, so that the result can be differentiated by images, rates and `start`; without
            it the result is detached and only one step's graph is in memory.
    """
    weights = {name: value if value.requires_grad else _leaf(value) for name, value in start.items()}
    for (images, labels), rate in zip(steps, rates.unbind(), strict=True):
        gradients = _gradients(model, weights, images, labels, create_graph=create_graph)
        moved = {
            name: value - rate * gradient for (name, value), gradient in zip(weights.items(), gradients, strict=True)
        }
        weights = moved if create_graph else {name: _leaf(value) for name, value in moved.items()}
    return weights if create_graph else {name: value.detach() for name, value in weights.items()}


def unrolled_loss(model: nn.Module, start: Parameters, steps: Sequence[Step], rates: Tensor, outer: Outer) -> Tensor:
    """Return `outer` of the trained parameters, with the graph of all T steps."""
    return outer(unroll(model, start, steps, rates))


def swept_loss(model: nn.Module, start: Parameters, steps: Sequence[Step], rates: Tensor, outer: Outer) -> Tensor:
    """Return the same scalar with the same gradients by images and rates, keeping one step's graph and T weights.

    The reverse sweep of Wang et al. (2018): with v = dL/dw_{t+1} and g_t the gradient of step t,

        dL/dr_t = -<v, g_t>,   (dL/dw_t, dL/dx_t) = (v, 0) - r_t (d g_t / d(w_t, x_t))' v.

    Differs from the authors' code: the graphs of g_t are not kept but made again from the kept weights, at the price of
    one more first-order gradient a step. `outer` must depend on the parameters alone.
    """
    visited: list[Parameters] = [start]
    for step, rate in zip(steps, rates.detach().unbind(), strict=True):
        visited.append(unroll(model, visited[-1], [step], rate[None], create_graph=False))
    last = {name: _leaf(value) for name, value in visited.pop().items()}
    loss = outer(last)
    cotangent = list(torch.autograd.grad(loss, list(last.values())))
    # A scalar whose value is the loss and whose gradient is what the sweep finds: linear in images and rates.
    linear = torch.zeros_like(loss)
    for weights, (images, labels), rate in zip(
        reversed(visited), reversed(steps), reversed(rates.unbind()), strict=True
    ):
        inputs, leaves = _leaf(images), {name: _leaf(value) for name, value in weights.items()}
        gradients = _gradients(model, leaves, inputs, labels, create_graph=True)
        by_rate = -sum((gradient.detach() * part).sum() for gradient, part in zip(gradients, cotangent, strict=True))
        *by_weights, by_images = torch.autograd.grad(
            gradients,
            [*leaves.values(), inputs],
            [-rate.detach() * part for part in cotangent],
            materialize_grads=True,
        )
        cotangent = [part + more for part, more in zip(cotangent, by_weights, strict=True)]
        linear = linear + ((images - images.detach()) * by_images).sum() + (rate - rate.detach()) * by_rate
    return loss.detach() + linear


GRADIENTS = {"graph": unrolled_loss, "sweep": swept_loss}
"""How the gradient through all steps is computed, by the name of the setting."""


def schedule(images: Tensor, labels: Tensor, *, ipc: int, steps: int) -> list[Step]:
    """Return the batches of dataset distillation's own schedule: step t sees image t mod `ipc` of every class.

    Args:
        images: `(M, ch, R, R)`, class by class.
        labels: `(M,)`.
        ipc: images per class, M = C · ipc.
        steps: T; a whole number of passes over the images is a multiple of `ipc`.
    """
    batches = [(images[first::ipc], labels[first::ipc]) for first in range(ipc)]
    return [batches[step % ipc] for step in range(steps)]


def xavier_start(model: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """Return fresh parameters as in Wang et al. (2018), on the model's device: Xavier-normal weights and zero biases.

    One-dimensional parameters other than biases are scales of norm layers: ones. Drawn on the CPU from `generator`.
    """
    drawn: dict[str, Tensor] = {}
    for name, value in model.named_parameters():
        fresh = torch.zeros(value.shape, dtype=value.dtype)
        if value.ndim > 1:
            nn.init.xavier_normal_(fresh, generator=generator)
        elif not name.endswith("bias"):
            fresh.fill_(1.0)
        drawn[name] = sent(fresh, value.device)
    return drawn


def flatten(parameters: Parameters) -> Tensor:
    """Return all parameters side by side, `(P,)`, in their order."""
    return torch.cat([value.flatten() for value in parameters.values()])


def unflatten(vector: Tensor, model: nn.Module) -> dict[str, Tensor]:
    """Return parameters by name from `(P,)`: views of the same memory, in the order of `model.named_parameters()`."""
    named = dict(model.named_parameters())
    parts = vector.split([value.numel() for value in named.values()])
    return {name: part.view(value.shape) for (name, value), part in zip(named.items(), parts, strict=True)}


def _gradients(
    model: nn.Module, weights: Parameters, images: Tensor, labels: Tensor, *, create_graph: bool
) -> tuple[Tensor, ...]:
    loss = label_loss(functional_call(model, dict(weights), (images,)), labels)
    return torch.autograd.grad(loss, list(weights.values()), create_graph=create_graph)


def _leaf(value: Tensor) -> Tensor:
    return value.detach().requires_grad_()
