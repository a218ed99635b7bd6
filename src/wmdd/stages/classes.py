"""The loops over classes: a class is the unit of work, and one that is saved is not computed again."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from wmdd import ot
from wmdd.context import Context, Saved, every_unit


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
    names = _names(num_classes)

    def make(label: int) -> Saved:
        result = ctx.restore(names[label], rows=partial(_of_label, rows, label))
        if result is None:
            result = compute(label)
            ctx.save(names[label], result.tensors, rows=rows(label), **result.facts)
        ctx.progress(label + 1, num_classes)
        return result

    return _stacked(every_unit(names, make, ctx))


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
    names = _names(num_classes)
    found: dict[int, Saved] = {}

    def make(labels: Sequence[int]) -> None:
        saved = {label: ctx.restore(names[label]) for label in labels}
        found.update({label: result for label, result in saved.items() if result is not None})
        missing = [label for label in labels if label not in found]
        for label, result in zip(missing, ot.in_threads(compute, missing, ctx.threads), strict=True):
            found[label] = result
            ctx.log(unit=f"class {label}", **row(result))
            ctx.save(names[label], result.tensors, **result.facts)
            ctx.progress(len(found), num_classes)

    for labels in ctx.share(names, many=ctx.threads or 1):
        make(labels)
    make([label for label in range(num_classes) if label not in found])
    return _stacked([found[label] for label in range(num_classes)])


def _names(num_classes: int) -> list[str]:
    """Return under which names the classes are saved."""
    return [f"class-{label:05d}" for label in range(num_classes)]


def _of_label(rows: Callable[[int], Tensor], label: int, facts: Mapping[str, Any]) -> Tensor:
    del facts
    return rows(label)


def _stacked(classes: Sequence[Saved]) -> Saved:
    first = classes[0]
    return Saved(
        tensors={name: torch.stack([each.tensors[name] for each in classes]) for name in first.tensors},
        facts={name: [each.facts[name] for each in classes] for name in first.facts},
    )
