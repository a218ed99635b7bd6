"""The loops over classes: a class is the unit of work, and one that is saved is not computed again."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from wmdd import ot
from wmdd.context import Context, Saved, every_unit
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
        ctx: saves, and shares the classes out.

    Returns:
        Tensors with the classes as their first axis, and lists of facts.
    """
    names, found = _names(num_classes), _Found(num_classes, ctx)

    def make(label: int) -> None:
        result = ctx.restore(names[label], rows=partial(_of_label, rows, label))
        if result is None:
            result = compute(label)
            ctx.save(names[label], result.tensors, rows=rows(label), **result.facts)
        found.put(label, result)
        ctx.progress(label + 1, num_classes)

    every_unit(names, make, ctx)
    return found.all()


def classes_in_threads(
    compute: Callable[[int], Saved],
    num_classes: int,
    *,
    row: Callable[[Saved], Mapping[str, Any]],
    ctx: Context,
) -> Saved:
    """Return what `compute` finds for every label, computed in threads, each saved at once.

    Each class should have its own random stream, so that neither the number of threads nor a stop changes the answer.

    Args:
        compute: label → its result.
        num_classes: labels from 0.
        row: result of a class → its row in the log.
        ctx: saves, logs, and shares the classes out.

    Returns:
        Tensors with the classes as their first axis, and lists of facts.
    """
    names, found = _names(num_classes), _Found(num_classes, ctx)

    def make(labels: Sequence[int]) -> None:
        for label in labels:
            saved = ctx.restore(names[label])
            if saved is not None:
                found.put(label, saved)
        missing = [label for label in labels if label not in found]
        for label, result in zip(missing, ot.in_threads(compute, missing, ctx.threads), strict=True):
            found.put(label, result)
            ctx.log(unit=f"class {label}", **row(result))
            ctx.save(names[label], result.tensors, **result.facts)
            ctx.progress(len(found), num_classes)

    for labels in ctx.share(names, many=ctx.threads or 1):
        make(labels)
    make([label for label in range(num_classes) if label not in found])
    return found.all()


def _names(num_classes: int) -> list[str]:
    """Return under which names the classes are saved."""
    return [f"class-{label:05d}" for label in range(num_classes)]


class _Found:
    """What was found for each class; its tensors lie where `Gathered` puts them, not class by class in memory."""

    def __init__(self, num_classes: int, ctx: Context) -> None:
        self._rows = Gathered(count=num_classes, make=ctx.scratch)
        self._facts: dict[int, Mapping[str, Any]] = {}

    def __contains__(self, label: int) -> bool:
        return label in self._facts

    def __len__(self) -> int:
        return len(self._facts)

    def put(self, label: int, found: Saved) -> None:
        """Take up a class."""
        self._rows.put(label, {name: values[None] for name, values in found.tensors.items()})
        self._facts[label] = found.facts

    def all(self) -> Saved:
        """Return all classes: tensors with the classes as their first axis, and lists of facts."""
        facts = [self._facts[label] for label in range(len(self))]
        return Saved(tensors=self._rows.tensors, facts={name: [each[name] for each in facts] for name in facts[0]})


def _of_label(rows: Callable[[int], Tensor], label: int, facts: Mapping[str, Any]) -> Tensor:
    del facts
    return rows(label)
