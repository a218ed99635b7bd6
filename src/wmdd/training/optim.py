"""Optimiser and learning rate from settings."""

import math

import torch
from torch import nn

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

    lr (1 + cos(pi i / (zeta N))) / 2 with i the epoch and N the number of epochs: constant within an epoch, as the
    field's scripts have it (zeta: EDC, RDED). During warm-up it is scaled by the share of the warm-up that is over.

    Args:
        settings: of the training.
        epoch: i, counted from 0.
        done: epochs that are over, with fractions.
    """
    cosine = (1 + math.cos(math.pi * epoch / (settings.zeta * settings.epochs))) / 2
    ramp = min(1.0, done / settings.warmup) if settings.warmup else 1.0
    return settings.lr * cosine * ramp
