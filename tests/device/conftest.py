"""Faults that are planted in a stage, to see whether they are found."""

import importlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

Plant = Callable[[str, str], None]
"""Kind of a fault (`wait` or `stranger`), `MODULE:FUNCTION` whose result it is planted in → planted."""


def waiting(found: Tensor) -> Tensor:
    """Return a tensor as it is, after a look at its value."""
    found.sum().item()
    return found


def with_stranger(found: Tensor) -> Tensor:
    """Return a tensor plus zeros that lie on the CPU."""
    return found + torch.zeros(2, *(1,) * found.ndim)[0, None]


FAULTS = {"wait": waiting, "stranger": with_stranger}


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    def planted(kind: str, place: str) -> None:
        module, _, name = place.partition(":")
        owner = importlib.import_module(f"wmdd.{module}")
        *parents, name = name.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        sound = getattr(owner, name)

        def faulty(*args: object, **kwargs: object) -> object:
            found = sound(*args, **kwargs)
            if isinstance(found, tuple):  # of several tensors the first
                return (FAULTS[kind](found[0]), *found[1:])
            return FAULTS[kind](found)

        monkeypatch.setattr(owner, name, faulty)

    return planted
