"""The loops over classes: a class is the unit of work, and one that is saved is not computed again."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from wmdd import ot
from wmdd.context import Context, Saved
from wmdd.mapped import Gathered


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
    found = _Found(num_classes, ctx)
    for label in range(num_classes):
        name = f"class-{label:05d}"
        result = ctx.restore(name, rows=partial(_of_label, rows, label))
        if result is None:
            result = compute(label)
            ctx.save(name, result.tensors, rows=rows(label), **result.facts)
        found.put(label, result)
        ctx.progress(label + 1, num_classes)
    return found.first(num_classes)


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
    found = _Found(num_classes, ctx)
    saved, done = ctx.restore(name), 0
    if saved is not None:
        done = len(next(iter(saved.tensors.values())))
        found.put_all(saved, done)
    labels = range(done, num_classes)
    for label, result in zip(labels, ot.in_threads(compute, labels), strict=True):
        found.put(label, result)
        ctx.log(unit=f"class {label}", **row(result))
        if ctx.due():
            so_far = found.first(label + 1)
            ctx.save(name, so_far.tensors, **so_far.facts)
        ctx.progress(label + 1, num_classes)
    return found.first(num_classes)


class _Found:
    """What was found for each class; its tensors lie where `Gathered` puts them, not class by class in memory."""

    def __init__(self, num_classes: int, ctx: Context) -> None:
        self._rows = Gathered(count=num_classes, make=ctx.scratch)
        self._facts: dict[int, Mapping[str, Any]] = {}

    def put(self, label: int, found: Saved) -> None:
        """Take up a class."""
        self._rows.put(label, {name: values[None] for name, values in found.tensors.items()})
        self._facts[label] = found.facts

    def put_all(self, found: Saved, count: int) -> None:
        """Take up the first classes, as `first` returned them."""
        self._rows.put(0, found.tensors)
        for label in range(count):
            self._facts[label] = {name: values[label] for name, values in found.facts.items()}

    def first(self, count: int) -> Saved:
        """Return the first classes: tensors with the classes as their first axis, and lists of facts."""
        return Saved(
            tensors={name: values[:count] for name, values in self._rows.tensors.items()},
            facts={name: [self._facts[label][name] for label in range(count)] for name in self._facts[0]},
        )


def _of_label(rows: Callable[[int], Tensor], label: int, facts: Mapping[str, Any]) -> Tensor:
    del facts
    return rows(label)
