"""A network from outside, tried on real images before anything rests on it: normalisation, class order, chance.

Only such networks pay for it, and those that answer nearly all training images of the sample right pay one pass.
"""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.data.inputs import InputForm, network_inputs
from wmdd.data.loading import fetch_batches
from wmdd.values import ImageSet

SAMPLE = 512
"""Training images that are tried, at least, if there are so many."""
PER_CLASS = 4
"""Of each class at least; half of them find another class order, the others test it."""
BATCH = 250
SURE = 0.95
"""Share of right answers above which nothing else can fit much better."""
MUCH, SOME = 0.1, 0.03
"""Shares of the sample by which something fits so much better that it decides, and that it is worth a word."""
MOST_CLASSES = 2000
"""Above, no class order is looked for: it takes too long."""
NEAR = 0.1
"""A teacher this part of the way from chance to perfect is near chance."""
_NAMED = 20
"""Class names that fit in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Answers to a sample of the training images."""

    right: Tensor
    """bool `(n,)`: right as they are."""
    reordered: Tensor
    """bool `(n,)`: right if outputs mean the classes that they fit best in the other half of the sample."""
    order: tuple[int, ...]
    """The class that each output fits best in the whole sample."""
    chance: float
    """Share of the sample's largest class."""

    @property
    def share(self) -> float:
        """Share of right answers."""
        return float(self.right.float().mean())

    @property
    def turned(self) -> bool:
        """Whether another class order fits clearly better; some order fits even a random network somewhat."""
        return float(self.reordered.float().mean()) > 0.5 and clearly_more(self.reordered, self.right)

    @property
    def best(self) -> Tensor:
        """The right answers under the class order that fits."""
        return self.reordered if self.turned else self.right


def try_teacher(model: nn.Module, train: ImageSet, form: InputForm, ctx: Context) -> Trial:
    """Return the answers of a network in eval mode to a sample of `train`, spread evenly over the classes."""
    positions, half = _sample(train.labels, len(train.classes))
    answers: list[Tensor] = []
    with torch.inference_mode():
        for _, pixels in fetch_batches(train, positions.split(BATCH), workers=ctx.workers, device=ctx.device):
            with ctx.autocast():
                logits = model(network_inputs(pixels, form).contiguous(memory_format=torch.channels_last))
            answers.append(logits.float().argmax(1).cpu())
    given, labels = torch.cat(answers), train.labels[positions]
    right = given == labels
    count = len(train.classes)
    chance = majority(labels)
    if count > MOST_CLASSES or float(right.float().mean()) > SURE:
        return Trial(right=right, reordered=right, order=tuple(range(count)), chance=chance)
    reordered = right.clone()
    for number in (0, 1):
        rows = half == number
        fitting = _fitting_order(given[rows], labels[rows], count)
        reordered[~rows] = fitting[given[~rows]] == labels[~rows]
    order = tuple(_fitting_order(given, labels, count).tolist())
    return Trial(right=right, reordered=reordered, order=order, chance=chance)


def clearly_more(one: Tensor, other: Tensor, *, by: float = MUCH) -> bool:
    """Return whether `one` has more right answers to the same images than `other`, by this share and beyond noise.

    The noise is that of the images on which both differ (McNemar), three standard deviations of it.
    """
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    return gained - lost > max(by * len(one), 3 * math.sqrt(gained + lost))


def order_words(order: Sequence[int], classes: Sequence[str]) -> tuple[str, str]:
    """Return a class order in words, and the flag that gives it."""
    names = [classes[label] for label in order]
    numeric = names == sorted(classes, key=_numeric)
    words = "numeric order" if numeric else f"the order {', '.join(names[:_NAMED])}{', ...' * (len(names) > _NAMED)}"
    if len(names) > _NAMED:
        return words, "squeeze.classes with the names in that order"
    return words, f"--squeeze.classes {shlex.join(names)}"


def majority(labels: Tensor) -> float:
    """Return the share of the largest class: chance, which a constant answer reaches."""
    return float(torch.bincount(labels).max()) / len(labels)


def near_chance(share: float, count: int, chance: float) -> bool:
    """Return whether this share of `count` answers may be chance: by a one-sided binomial test, or for its size.

    Where even no mistake would not pass the test, only the size counts.
    """
    if above_chance(share, chance) < NEAR:
        return True
    from scipy.special import bdtrc  # noqa: PLC0415 - `scipy.stats` takes most of a second to import

    by_luck = float(bdtrc(round(share * count) - 1, count, chance))
    return by_luck > 0.05 and chance**count < 0.05


def above_chance(share: float, chance: float) -> float:
    """Return how far a share is on the way from chance (0) to perfect (1)."""
    return (share - chance) / max(1 - chance, 1e-9)


def noise(share: float, count: int) -> float:
    """Return three standard deviations of a share of `count` answers."""
    return 3 * math.sqrt(max(share * (1 - share), 1 / count) / count)


def best_form(trials: Mapping[str, Trial], now: str) -> str | None:
    """Return the name of the trial that fits best, if it fits better than the one named `now`, or None."""
    best = max(trials, key=lambda name: float(trials[name].best.float().mean()))
    return best if best != now and clearly_more(trials[best].best, trials[now].best, by=SOME) else None


def _sample(labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return positions of evenly spaced images of each class, and the half, 0 or 1, that each is in."""
    wanted = max(PER_CLASS, -(-SAMPLE // classes))
    chosen: list[Tensor] = []
    halves: list[Tensor] = []
    of_class = labels.argsort(stable=True).split(torch.bincount(labels, minlength=classes).tolist())
    for positions in of_class:
        taken = min(wanted, len(positions))
        chosen.append(positions[torch.arange(taken) * len(positions) // max(taken, 1)])
        halves.append(torch.arange(taken) % 2)
    return torch.cat(chosen), torch.cat(halves)


def _fitting_order(given: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the one-to-one assignment of outputs to classes with most right answers; ties stay as they are."""
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import

    confusion = torch.bincount(given * classes + labels, minlength=classes * classes).view(classes, classes)
    _, order = linear_sum_assignment(-(confusion + 0.5 * torch.eye(classes, dtype=torch.float64)).numpy())
    return torch.as_tensor(order)


def _numeric(name: str) -> tuple[tuple[bool, int, str], ...]:
    parts = re.split(r"(\d+)", name)
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts if part)
