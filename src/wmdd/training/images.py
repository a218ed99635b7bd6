"""The one loop in which images, labels and step sizes are optimised: loss -> step -> projection -> row -> save.

Methods differ in the loss alone: a function of the iteration and the variables. Whatever it draws comes from streams
that belong to the iteration, so that a run that was stopped and resumed gives the same bytes.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from wmdd.context import Context, Saved
from wmdd.errors import NumericsError
from wmdd.training.optim import load_moments, moments

ROWS = 100

Variables = Mapping[str, Tensor]
"""Leaf tensors on the device, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """The loss of one iteration, and the terms that it is made of."""

    total: Tensor
    """What is minimised, a scalar."""
    columns: Mapping[str, Tensor]
    """Scalars without a graph, by their column in the log."""


Loss = Callable[[int, Variables], Tensor | Losses | Iterable[Tensor]]
"""Iteration from 0, variables → a scalar, with its terms for the log or without; or the addends of a sum, each of which
is freed before the next is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """Where something that is optimised starts, and its learning rate."""

    start: Tensor
    lr: float


class Carried(Protocol):
    """State beside the variables that a loss carries from one iteration to the next, such as a network in training."""

    def tensors(self) -> Mapping[str, Tensor]:
        """Return it as named tensors."""
        ...

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore it."""
        ...


def _constant(iteration: int) -> float:
    del iteration
    return 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """How the variables of one unit of work are optimised."""

    unit: str
    """Names the saved state and the rows of the log."""
    iterations: int
    optimiser: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    """Parameter groups (one for each variable, with its rate) → optimiser, such as `partial(SGD, momentum=0.5)`."""
    schedule: Callable[[int], float] = _constant
    """Iteration from 0 → factor on every learning rate."""
    project: Callable[[Variables], object] | None = None
    """Projects the variables, in place, onto the allowed values; called after each step, without gradients."""
    carried: Carried | None = None
    """State of the loss; saved and restored with the variables."""
    advice: str = "lower the learning rate"
    """What to do when the loss is no longer finite, for the error message."""
    before: int = 0
    """Iterations of the stage's earlier units, for its progress."""
    total: int | None = None
    """Iterations of all its units; none = of this one."""


def optimise(start: Mapping[str, Variable], loss: Loss, descent: Descent, *, ctx: Context) -> dict[str, Tensor]:
    """Return the variables after `descent.iterations` steps, detached, on the device.

    The state is saved when it is due, and once more at the end, so that a stage of several units repeats none.

    Raises:
        NumericsError: the loss is not finite any more.
    """
    variables = {name: part.start.detach().clone().to(ctx.device).requires_grad_() for name, part in start.items()}
    optimiser = descent.optimiser([{"params": [variables[name]], "lr": part.lr} for name, part in start.items()])
    rates = [part.lr for part in start.values()]
    iteration = _restore(variables, optimiser, descent, ctx.restore(descent.unit))
    while iteration < descent.iterations:
        for parameters, rate in zip(optimiser.param_groups, rates, strict=True):
            parameters["lr"] = rate * descent.schedule(iteration)
        losses = _step(iteration, variables, loss, optimiser, descent)
        iteration += 1
        _report(losses, iteration, descent, ctx)
        if iteration == descent.iterations:
            ctx.save(descent.unit, _named("variable", variables), iteration=iteration)
        elif ctx.due():
            ctx.save(descent.unit, _state(variables, optimiser, descent), iteration=iteration)
    return {name: value.detach() for name, value in variables.items()}


def _step(
    iteration: int, variables: Variables, loss: Loss, optimiser: torch.optim.Optimizer, descent: Descent
) -> Losses:
    optimiser.zero_grad(set_to_none=True)
    value = loss(iteration, variables)
    addends, columns = (value.total, value.columns) if isinstance(value, Losses) else (value, {})
    parts: list[Tensor] = []
    for addend in (addends,) if isinstance(addends, Tensor) else addends:
        torch.autograd.backward(addend, inputs=list(variables.values()))
        parts.append(addend.detach())
    optimiser.step()
    if descent.project is not None:
        with torch.no_grad():
            descent.project(variables)
    return Losses(total=torch.stack(parts).sum(), columns=columns)


def _report(losses: Losses, done: int, descent: Descent, ctx: Context) -> None:
    """Report progress; now and then log a row and check that the loss is finite."""
    ctx.progress(descent.before + done, descent.total or descent.iterations)
    if done % max(1, descent.iterations // ROWS) != 0 and done != descent.iterations:
        return
    loss = float(losses.total)
    if not math.isfinite(loss):
        raise NumericsError(
            f"optimisation of {descent.unit} diverged; got loss {loss} in iteration {done}; {descent.advice}"
        )
    columns = {name: float(value) for name, value in losses.columns.items()}
    ctx.log(unit=descent.unit, step=done, loss=loss, **columns)


def _state(variables: Variables, optimiser: torch.optim.Optimizer, descent: Descent) -> dict[str, Tensor]:
    carried = descent.carried.tensors() if descent.carried is not None else {}
    return _named("variable", variables) | _named("optimiser", moments(optimiser)) | _named("carried", carried)


def _restore(variables: Variables, optimiser: torch.optim.Optimizer, descent: Descent, saved: Saved | None) -> int:
    """Continue from saved state, if there is some; return the number of iterations done."""
    if saved is None:
        return 0
    parts: dict[str, dict[str, Tensor]] = {"variable": {}, "optimiser": {}, "carried": {}}
    for name, value in saved.tensors.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = value
    with torch.no_grad():
        for name, value in parts["variable"].items():
            variables[name].copy_(value)
    load_moments(optimiser, parts["optimiser"])
    if descent.carried is not None and parts["carried"]:
        descent.carried.load(parts["carried"])
    return int(saved.facts["iteration"])


def _named(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{part}/{name}": value for name, value in tensors.items()}
