"""The state of an optimisation as named tensors, and back: variables, the optimiser's memory, what a loss carries."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from wmdd.context import Saved
from wmdd.training.optim import load_moments, moments


class Carried(Protocol):
    """State beside the variables that a loss carries from one iteration to the next, such as a network in training."""

    def tensors(self) -> Mapping[str, Tensor]:
        """Return it as named tensors."""
        ...

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore it."""
        ...


def state(
    variables: Mapping[str, Tensor], optimiser: torch.optim.Optimizer, carried: Carried | None
) -> dict[str, Tensor]:
    """Return everything that a stopped optimisation needs to go on."""
    rest = _named("optimiser", moments(optimiser)) | _named("carried", carried_tensors(carried))
    return named_variables(variables) | rest


def named_variables(variables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what a finished optimisation keeps."""
    return _named("variable", variables)


def carried_tensors(carried: Carried | None) -> Mapping[str, Tensor]:
    """Return what a loss carries, if anything."""
    return carried.tensors() if carried is not None else {}


def load_state(
    saved: Saved | None, variables: Mapping[str, Tensor], optimiser: torch.optim.Optimizer, carried: Carried | None
) -> int:
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
    if carried is not None and parts["carried"]:
        carried.load(parts["carried"])
    return int(saved.facts["iteration"])


def _named(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{part}/{name}": value for name, value in tensors.items()}
