"""The loops over classes: a class is the unit of work, and one that is saved is not computed again."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from wmdd import ot
from wmdd.context import Context, Saved
from wmdd.stages.gathering import Gathered


def class_by_class(
    compute: Callable[[int], Saved],
    num_classes: int,
    *,
    rows: Callable[[int], Tensor] = lambda _: torch.empty(0),
    ctx: Context,
) -> Saved:
    """Return what `compute` finds for every label, one after the other, each saved at once.

    Args:
        compute: label → its result.
        num_classes: labels from 0.
        rows: label → the rows of a `Context.array` that `compute` writes.
        ctx: saves.

    Returns:
        Tensors with the classes as their first axis, and lists of facts.
    """
    found = _Classes(num_classes, ctx)
    for label in range(num_classes):
        name = f"class-{label:05d}"
        result = ctx.restore(name, rows=partial(_of_label, rows, label))
        if result is None:
            result = compute(label)
            ctx.save(name, result.tensors, rows=rows(label), **result.facts)
        found.add(result)
        ctx.progress(label + 1, num_classes)
    return found.so_far()


def classes_in_threads(
    compute: Callable[[int], Saved],
    num_classes: int,
    *,
    name: str,
    row: Callable[[Saved], Mapping[str, Any]],
    ctx: Context,
) -> Saved:
    """Return what `compute` finds for every label, computed in threads; all classes so far are saved when it is due.

    Each class should have its own random stream, so that neither the number of threads nor a stop changes the answer.

    Args:
        compute: label → its result.
        num_classes: labels from 0.
        name: under which the classes are saved.
        row: result of a class → its row in the log.
        ctx: saves and logs.

    Returns:
        Tensors with the classes as their first axis, and lists of facts.
    """
    found = _Classes(num_classes, ctx)
    saved = ctx.restore(name)
    if saved is not None:
        found.extend(saved)
    labels = range(found.count, num_classes)
    for label, result in zip(labels, ot.in_threads(compute, labels), strict=True):
        found.add(result)
        ctx.log(unit=f"class {label}", **row(result))
        if ctx.due():
            so_far = found.so_far()
            ctx.save(name, so_far.tensors, **so_far.facts)
        ctx.progress(label + 1, num_classes)
    return found.so_far()


class _Classes:
    """What was found for the classes so far, in order: tensors with the classes as their first axis, lists of facts."""

    def __init__(self, num_classes: int, ctx: Context) -> None:
        self.count = 0
        self._rows = Gathered(count=num_classes, ctx=ctx)
        self._facts: dict[str, list[Any]] = {}

    def add(self, found: Saved) -> None:
        """Take up the next class."""
        self.extend(
            Saved(
                tensors={name: values[None] for name, values in found.tensors.items()},
                facts={name: [value] for name, value in found.facts.items()},
            ),
            count=1,
        )

    def extend(self, found: Saved, count: int | None = None) -> None:
        """Take up `count` classes, or as many as there are rows."""
        self._rows.put(self.count, found.tensors)
        for name, values in found.facts.items():
            self._facts.setdefault(name, []).extend(values)
        self.count += len(next(iter(found.tensors.values()))) if count is None else count

    def so_far(self) -> Saved:
        """Return all that was taken up."""
        return Saved(
            tensors={name: values[: self.count] for name, values in self._rows.tensors.items()},
            facts=dict(self._facts),
        )


def _of_label(rows: Callable[[int], Tensor], label: int, facts: Mapping[str, Any]) -> Tensor:
    del facts
    return rows(label)
