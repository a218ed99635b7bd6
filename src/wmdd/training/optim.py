"""Optimiser and learning rate from settings."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from wmdd.settings import TrainSettings


def build_optimiser(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """Return the optimiser that `settings` describe; AdamW decays only parameters of two or more dimensions."""
    if settings.optimiser == "sgd":
        return torch.optim.SGD(
            model.parameters(), settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, settings.lr)


def learning_rate(settings: TrainSettings, epoch: int, done: float) -> float:
    """Return the learning rate of a step.

    Cosine: lr (1 + cos(pi i / (zeta N))) / 2 with i the epoch and N the number of epochs: constant within an epoch, as
    the field's scripts have it (zeta: EDC, RDED). Step: lr, and lr / 10 from `cut_epoch` on. During warm-up it is
    scaled by the share of the warm-up that is over.

    Args:
        settings: of the training.
        epoch: i, counted from 0.
        done: epochs that are over, with fractions.
    """
    if settings.schedule == "step":
        shape = 1.0 if epoch < cut_epoch(settings) else 0.1
    elif settings.schedule == "constant":
        shape = 1.0
    else:
        shape = (1 + math.cos(math.pi * epoch / (settings.zeta * settings.epochs))) / 2
    ramp = min(1.0, done / settings.warmup) if settings.warmup else 1.0
    return settings.lr * shape * ramp


def cut_epoch(settings: TrainSettings) -> int:
    """Return the epoch, counted from 0, at which the step schedule cuts the rate: half of all, and one more (DC)."""
    return settings.epochs // 2 + 1


def moments(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what an optimiser remembers of its steps, as tensors named `PARAMETER.FIELD`, parameters by number."""
    remembered = optimiser.state_dict()["state"].items()
    return {f"{at}.{name}": value for at, state in remembered for name, value in state.items() if value is not None}


def load_moments(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Let an optimiser over the same parameters remember what `moments` returned."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        position, _, field = name.partition(".")
        state.setdefault(int(position), {})[field] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
