"""Further terms of the recovery loss, as strings: `NAME`, or `NAME=WEIGHT`."""

import math
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator


def weighted(terms: Iterable[str]) -> dict[str, float]:
    """Return name → weight of terms; without a weight it is 1.

    Raises:
        ValueError: a weight is no number of 0 or more, or a name is missing or there twice.
    """
    found: dict[str, float] = {}
    for term in terms:
        name, sign, weight = term.partition("=")
        if not name or name in found:
            raise ValueError("names must be given, each once")
        try:
            found[name] = float(weight) if sign else 1.0
        except ValueError:
            found[name] = math.nan
        if not 0 <= found[name] < math.inf:
            raise ValueError("must be NAME or NAME=WEIGHT, the weight a number of 0 or more")
    return found


def _sound(terms: tuple[str, ...]) -> tuple[str, ...]:
    weighted(terms)
    return terms


Terms = Annotated[tuple[str, ...], AfterValidator(_sound)]
"""Type of a setting that holds further terms."""
