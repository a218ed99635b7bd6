"""The loops over classes: a class is the unit of work, and one that is saved is not computed again."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from wmdd import ot
from wmdd.context import Context, Saved


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
    found: list[Saved] = []
    for label in range(num_classes):
        name = f"class-{label:05d}"
        result = ctx.restore(name, rows=partial(_of_label, rows, label))
        if result is None:
            result = compute(label)
            ctx.save(name, result.tensors, rows=rows(label), **result.facts)
        found.append(result)
        ctx.progress(label + 1, num_classes)
    return _stacked(found)


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
    saved = ctx.restore(name)
    found = [] if saved is None else _split(saved)
    labels = range(len(found), num_classes)
    for label, result in zip(labels, ot.in_threads(compute, labels), strict=True):
        found.append(result)
        ctx.log(unit=f"class {label}", **row(result))
        if ctx.due():
            so_far = _stacked(found)
            ctx.save(name, so_far.tensors, **so_far.facts)
        ctx.progress(label + 1, num_classes)
    return _stacked(found)


def _of_label(rows: Callable[[int], Tensor], label: int, facts: Mapping[str, Any]) -> Tensor:
    del facts
    return rows(label)


def _stacked(classes: Sequence[Saved]) -> Saved:
    first = classes[0]
    return Saved(
        tensors={name: torch.stack([each.tensors[name] for each in classes]) for name in first.tensors},
        facts={name: [each.facts[name] for each in classes] for name in first.facts},
    )


def _split(stacked: Saved) -> list[Saved]:
    """Undo `_stacked`."""
    return [
        Saved(
            tensors={name: values[label] for name, values in stacked.tensors.items()},
            facts={name: values[label] for name, values in stacked.facts.items()},
        )
        for label in range(len(next(iter(stacked.tensors.values()))))
    ]
