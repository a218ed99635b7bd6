"""Does a loss predict? Spearman's ρ, over the sets of a bench, between a loss and how badly students of the set do.

The loss is that of the set (`loss_cards`), the outcome the mean test loss of its students. A loss that ranks sets as
students do has ρ near 1; ρ of 0 says that lowering it is no reason to expect better students. Sets count once however
often they were made: a deterministic method gives the same set from every seed. Free of torch.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Any

from wmdd.evaluation.loss_cards import LOSSES
from wmdd.evaluation.rows import Conditions, conditions_of, number

FEWEST = 4
"""Sets without which ρ has no interval."""
SCOPES = ("all", "real", "optimised")
"""Which sets count: all; those of real images, whole or in pieces; all others. Over sets of both kinds a loss may do no
more than tell the kinds apart, or look useless though it ranks within each (Simpson's paradox)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """Spearman's ρ of one loss over some sets."""

    rho: float | None
    """None for fewer than `FEWEST` sets, or where loss or outcome is the same for all."""
    interval: tuple[float, float] | None
    """95 %; None with ρ."""
    n: int
    """Sets that have the loss."""

    @property
    def shown(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """How losses rank the sets of a bench under one setting."""

    conditions: Conditions
    outcome: str
    """`"test loss"`, or `"error"` (100 − top-1) where a student's test loss is not known."""
    sets: Mapping[str, int]
    """Scope → different sets."""
    correlations: Mapping[str, Mapping[str, Correlation]]
    """Name of the loss → scope → correlation."""

    @property
    def best(self) -> tuple[str, Correlation] | None:
        """The loss with the highest ρ over all sets; None if no ρ is known."""
        known = [(name, of["all"]) for name, of in self.correlations.items() if of["all"].rho is not None]
        return max(known, key=lambda pair: pair[1].rho or 0.0, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Set:
    """One set under one setting."""

    real: bool
    losses: Mapping[str, float]
    scores: list[Mapping[str, Any]]


def predictions(cells: Sequence[Mapping[str, Any]], real_methods: Collection[str]) -> list[Prediction]:
    """Return what losses predict under every setting in which sets with losses were evaluated, in stored order.

    Args:
        cells: those of `bench.json`; cells without losses, and values that are no finite numbers, do not count.
        real_methods: methods whose images are real.
    """
    settings: dict[Conditions, dict[Any, _Set]] = {}
    for cell in cells:
        given = cell.get("losses") or {}
        losses = {name: value for name in given if (value := number(given[name])) is not None}
        for score in cell["scores"] if losses else ():
            if number(score.get("top1")) is None:
                continue
            sets = settings.setdefault(conditions_of({**score, "ipc": cell["ipc"]}), {})
            # Without a digest of the images, sets of equal losses are taken for one: all are measured from one seed.
            identity = score.get("images") or tuple(sorted(losses.items()))
            found = sets.setdefault(identity, _Set(real=cell["method"] in real_methods, losses=losses, scores=[]))
            found.scores.append(score)
    return [_predict(conditions, list(sets.values())) for conditions, sets in settings.items()]


def _predict(conditions: Conditions, sets: Sequence[_Set]) -> Prediction:
    known = all(number(score.get("test_loss")) is not None for each in sets for score in each.scores)
    outcomes = [fmean(score["test_loss"] if known else 100 - score["top1"] for score in each.scores) for each in sets]
    scopes = {scope: [at for at, each in enumerate(sets) if _counts(each, scope)] for scope in SCOPES}
    found = {name for each in sets for name in each.losses}

    def correlation(name: str, scope: str) -> Correlation:
        having = [at for at in scopes[scope] if name in sets[at].losses]
        return correlate([sets[at].losses[name] for at in having], [outcomes[at] for at in having])

    return Prediction(
        conditions=conditions,
        outcome="test loss" if known else "error",
        sets={scope: len(members) for scope, members in scopes.items()},
        correlations={
            name: {scope: correlation(name, scope) for scope in SCOPES}
            for name in (*(name for name in LOSSES if name in found), *sorted(found - LOSSES.keys()))
        },
    )


def _counts(each: _Set, scope: str) -> bool:
    return scope == "all" or each.real == (scope == "real")


def correlate(losses: Sequence[float], outcomes: Sequence[float]) -> Correlation:
    """Return Spearman's ρ of pairs, with ties at their mean rank, and its interval."""
    n = len(losses)
    if n < FEWEST or len(set(losses)) == 1 or len(set(outcomes)) == 1:
        return Correlation(rho=None, interval=None, n=n)
    from scipy.stats import spearmanr  # noqa: PLC0415 - takes half a second to import

    rho = float(spearmanr(losses, outcomes).statistic)  # pyright: ignore
    return Correlation(rho=rho, interval=interval(rho, n), n=n)


def interval(rho: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of Spearman's ρ over n independent pairs: Fisher's z with Bonett and Wright's variance.

    tanh(artanh ρ ± q sqrt((1 + ρ²/2) / (n − 3))), Psychometrika 65 (2000). In a perfect order the formula would leave
    nothing open; the order in which one pair of neighbours has changed places, ρ = 1 − 12 / (n³ − n), takes its place
    for the end nearer 0.

    Raises:
        ValueError: n is below `FEWEST`, or ρ is no correlation.
    """
    if n < FEWEST or not -1 - 1e-9 <= rho <= 1 + 1e-9:
        raise ValueError(f"an interval needs {FEWEST} pairs or more, and ρ from -1 to 1; got {n} and {rho}")
    nearly = 1 - 12 / (n**3 - n)
    held = max(-nearly, min(nearly, rho))
    half = NormalDist().inv_cdf(0.5 + level / 2) * math.sqrt((1 + held**2 / 2) / (n - 3))
    low, high = math.tanh(math.atanh(held) - half), math.tanh(math.atanh(held) + half)
    return min(low, max(rho, -1.0)), max(high, min(rho, 1.0))
