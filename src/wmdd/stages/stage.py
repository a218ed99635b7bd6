"""What the runner needs to know of a stage, apart from its function."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A named, versioned function from records to a record.

    `version` rises whenever the same inputs and settings would give another answer, so that stored results of the old
    code are not taken for new ones.
    """

    name: str
    version: int
    run: Callable[..., Any]
    """`run(*records, settings, ctx=ctx, **facts)`."""
    output: type
    """Record that comes out."""
    seeded: bool = True
    """Whether it draws random numbers; if so the seed counts towards the key."""
    networks: bool = True
    """Whether networks compute at the chosen precision, which then counts towards the key."""
    workers: Literal["one", "units", "steps"] = "one"
    """How several workers make it: one of them does; they share its units of work; they take its steps together."""
