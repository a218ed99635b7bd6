"""What went wrong in an optimisation: what was not finite first and in which step, or a loss above its start."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from wmdd.context import Context
from wmdd.errors import NumericsError

_RISE = 0.01
"""Share of its start by which a loss must end higher to count as risen: rounding does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one iteration computed, on the device: nothing waits for it unless something went wrong."""

    iteration: int
    """From 1."""
    columns: Mapping[str, Tensor]
    """Terms of the loss, by name."""
    loss: Tensor
    gradients: Mapping[str, Tensor]
    """Largest absolute value of the gradient of each variable, by its name in words."""

    def values(self) -> Iterator[tuple[str, Tensor]]:
        """Yield what was computed, in the order of computation, with its name in words."""
        yield from self.columns.items()
        yield "the loss", self.loss
        yield from self.gradients.items()


def diverged(unit: str, seen: Sequence[Seen], advice: str, advice_at_start: str) -> NumericsError:
    """Return the error of an optimisation that has no finite loss any more; it names the first value that was not.

    Args:
        unit: of work.
        seen: the latest iterations, in order.
        advice: what to do about steps that are too long.
        advice_at_start: what to do if the loss was not finite before any step.
    """
    found = ((each, name, value) for each in seen for name, value in each.values() if not bool(value.isfinite()))
    each, name, value = next(found, (None, "", None))
    if each is None or value is None:
        last = seen[-1].iteration if seen else 0
        return NumericsError(f"optimisation of {unit} diverged; got no solution after iteration {last}; {advice}")
    if each.iteration == 1 and name not in each.gradients:
        advice = f"no step was taken before it: {advice_at_start}"
    return NumericsError(
        f"optimisation of {unit} diverged; got {float(value)} in {name} of iteration {each.iteration}, the first value "
        f"that was not finite; {advice}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """A unit of work whose loss ended above its start, both with the draws of the first iteration."""

    unit: str
    first: float
    last: float


def rise_of(unit: str, ends: Mapping[str, float]) -> Rise | None:
    """Return the rise of a loss from its `first` to its `last` value; None if it is not clear, or one is not known."""
    first, last = ends.get("first"), ends.get("last")
    if first is None or last is None or last <= first + _RISE * abs(first):
        return None
    return Rise(unit=unit, first=first, last=last)


def say_rise(rise: Rise | None, rises: list[Rise] | None, advice: str, ctx: Context) -> None:
    """Say that a unit's loss rose, or leave it to the stage that collects the `rises` of several units."""
    if rise is not None and rises is not None:
        rises.append(rise)
    elif rise is not None:
        warn_of_rises([rise], 1, advice, ctx)


def warn_of_rises(rises: Sequence[Rise], units: int, advice: str, ctx: Context) -> None:
    """Say once that the loss of some of a stage's units rose."""
    if not rises:
        return
    worst = max(rises, key=lambda rise: rise.last - rise.first)
    where = f"of {worst.unit}" if units == 1 else f"of {len(rises)} of {units} groups, most that of {worst.unit},"
    ctx.warn(
        "risen loss",
        f"{ctx.stage}: the loss {where} ended at {worst.last:.3g}, above {worst.first:.3g} at its start; {advice}",
        count=len(rises),
    )
