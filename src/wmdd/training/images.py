"""The one loop in which images, labels and step sizes are optimised: loss -> step -> projection -> row -> save.

Methods differ in the loss alone: a function of the iteration and the variables. Whatever it draws comes from streams
that belong to the iteration, so that a run that was stopped and resumed gives the same bytes.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wmdd.context import Context
from wmdd.errors import NumericsError
from wmdd.training.averages import Averages
from wmdd.training.divergence import Rise, Seen, diverged, rise_of, say_rise
from wmdd.training.saving import Carried, carried_tensors, load_state, named_variables, state

ROWS = 100
LinAlgError = torch.linalg.LinAlgError  # pyright: ignore[reportPrivateImportUsage]
"""What solvers raise when they are given values that are not finite."""

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


def _constant(iteration: int) -> float:
    del iteration
    return 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """How the variables of one unit of work are optimised."""

    unit: str
    """Names the rows of the log and, with the part, the saved state."""
    iterations: int
    part: tuple[int, int] | None = None
    """Iterations that are done now, from the first to before the last, where an optimisation has several parts, each
    with an optimiser and averages of its own; None = all."""
    optimiser: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    """Parameter groups (one for each variable, with its rate) → optimiser, such as `partial(SGD, momentum=0.5)`."""
    schedule: Callable[[int], float] = _constant
    """Iteration from 0 → factor on every learning rate."""
    project: Callable[[Variables], object] | None = None
    """Projects the variables, in place, onto the allowed values; called after each step, without gradients."""
    ema: float = 0.0
    """Decay of an exponential moving average of the variables, which takes their place in the end; 0 = none."""
    carried: Carried | None = None
    """State of the loss; saved and restored with the variables."""
    advice: str = "lower the learning rate"
    """What to do when the loss is no longer finite, for the error message."""
    advice_at_start: str = "look at the teacher and the real images"
    """What to do when it never was."""
    rises: list[Rise] | None = None
    """Where a stage of several units collects whose loss rose, to say it once; None = this unit is the only one."""
    before: int = 0
    """Iterations of the stage's earlier units, for its progress."""
    total: int | None = None
    """Iterations of all its units; none = of this one."""

    @property
    def span(self) -> tuple[int, int]:
        """The first iteration that is done, and the one before which it ends."""
        return self.part or (0, self.iterations)


def optimise(start: Mapping[str, Variable], loss: Loss, descent: Descent, *, ctx: Context) -> dict[str, Tensor]:
    """Return the variables after the steps of `descent`, detached, on the device.

    With `descent.ema` they are averages over the steps.

    The state is saved when it is due, and once more at the end, so that a stage of several units repeats none. If the
    loss of the first iteration, with the same draws, is higher for the result than it was for the start, it is said.

    Raises:
        NumericsError: the loss is not finite any more; the message says what was not finite first.
    """
    variables = {name: part.start.detach().clone().to(ctx.device).requires_grad_() for name, part in start.items()}
    optimiser = descent.optimiser([{"params": [variables[name]], "lr": part.lr} for name, part in start.items()])
    rates = [part.lr for part in start.values()]
    fresh = {name: value.clone() for name, value in carried_tensors(descent.carried).items()}
    first, last = descent.span
    name = descent.unit if descent.part is None else f"{descent.unit}, steps {first} to {last}"
    saved = ctx.restore(name)
    averages = Averages(variables, descent.ema, beside=descent.carried) if descent.ema else None
    carried = averages or descent.carried
    iteration = max(first, load_state(saved, variables, optimiser, carried))
    ends: dict[str, float] = {} if saved is None else dict(saved.facts.get("ends", {}))
    seen: list[Seen] = []
    while iteration < last:
        for parameters, rate in zip(optimiser.param_groups, rates, strict=True):
            parameters["lr"] = rate * descent.schedule(iteration)
        seen.append(_step(iteration, variables, loss, optimiser, descent, seen=seen))
        iteration += 1
        if averages is not None:
            averages.take(iteration - first)
        if iteration == first + 1:
            ends["first"] = float(seen[-1].loss)
        _report(seen, descent, ctx)
        if iteration == last:
            if averages is not None:
                averages.put()
            ends["last"] = _loss_again(loss, variables, descent, fresh)
            ctx.save(name, named_variables(variables), iteration=iteration, ends=ends)
        elif ctx.due():
            ctx.save(name, state(variables, optimiser, carried), iteration=iteration, ends=ends)
    say_rise(rise_of(descent.unit, ends), descent.rises, descent.advice, ctx)
    return {name: value.detach() for name, value in variables.items()}


def _step(
    iteration: int,
    variables: Variables,
    loss: Loss,
    optimiser: torch.optim.Optimizer,
    descent: Descent,
    *,
    seen: Sequence[Seen],
) -> Seen:
    optimiser.zero_grad(set_to_none=True)
    parts: list[Tensor] = []
    try:
        addends, columns = _addends(loss(iteration, variables))
        for addend in addends:
            torch.autograd.backward(addend, inputs=list(variables.values()))
            parts.append(addend.detach())
    except LinAlgError as error:
        raise diverged(descent.unit, seen, descent.advice, descent.advice_at_start) from error
    gradients = {
        f"the gradient of the {name}": torch.linalg.vector_norm(value.grad, math.inf)
        for name, value in variables.items()
        if value.grad is not None
    }
    optimiser.step()
    if descent.project is not None:
        with torch.no_grad():
            descent.project(variables)
    return Seen(iteration=iteration + 1, columns=columns, loss=torch.stack(parts).sum(), gradients=gradients)


def _addends(value: Tensor | Losses | Iterable[Tensor]) -> tuple[Iterable[Tensor], Mapping[str, Tensor]]:
    """Return the addends of a loss, and its terms for the log."""
    if isinstance(value, Losses):
        return (value.total,), value.columns
    return ((value,) if isinstance(value, Tensor) else value), {}


def _report(seen: list[Seen], descent: Descent, ctx: Context) -> None:
    """Report progress; now and then log a row and check that the loss is finite, and forget what was seen."""
    latest = seen[-1]
    done = latest.iteration
    ctx.progress(descent.before + done, descent.total or descent.iterations)
    if done % max(1, descent.iterations // ROWS) != 0 and done != descent.span[1]:
        return
    loss, *terms = torch.stack([latest.loss, *latest.columns.values()]).tolist()  # one wait for the device
    if not math.isfinite(loss):
        raise diverged(descent.unit, seen, descent.advice, descent.advice_at_start)
    ctx.log(unit=descent.unit, step=done, loss=loss, **dict(zip(latest.columns, terms, strict=True)))
    seen.clear()


def _loss_again(loss: Loss, variables: Variables, descent: Descent, fresh: Mapping[str, Tensor]) -> float:
    """Return what the first iteration's loss is now: with its draws, and what the loss carries as it was.

    Raises:
        NumericsError: it is not finite: the last step was too long.
    """
    if descent.carried is not None and fresh:
        descent.carried.load(fresh)
    try:
        addends, _ = _addends(loss(descent.span[0], variables))
        value = float(torch.stack([addend.detach() for addend in addends]).sum())
    except LinAlgError:
        value = math.nan
    if not math.isfinite(value):
        raise NumericsError(
            f"optimisation of {descent.unit} diverged; got loss {value} after its last iteration; {descent.advice}"
        )
    return value
