"""`wmdd worth` and `wmdd.worth`: random real images beside a run's set; what is not said is as in the run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, PositiveInt

from wmdd.errors import ConfigError
from wmdd.evaluation.references import MULTIPLES
from wmdd.requests.evaluate import EvaluateFlags, EvaluateRequest, students_asked
from wmdd.requests.given import Given

DRAWS = 3
"""Draws of random images where nothing is said."""


class WorthFlags(EvaluateFlags):
    """Flags of `wmdd worth`: those of `wmdd evaluate`, and how many random images."""

    command: ClassVar[str] = "worth"
    usage: ClassVar[str] = "`wmdd worth RUN --data DATA`"
    unread: ClassVar[frozenset[str]] = EvaluateFlags.unread | {"evaluate.references"}

    multiples: tuple[Annotated[int, Field(ge=2)], ...] | None = None
    """Numbers of random real images, in units of the set's, beside that number itself; none = 2 3 5 10, as far as the
    data have so many."""
    draws: PositiveInt | None = None
    """How often random images are drawn: from the run's seed and those after it; none = 3. With 1, the rate holds for
    this very draw only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorthRequest:
    """What a run's set is worth."""

    students: EvaluateRequest
    """Students that are trained on random images, and on the set where the run has none."""
    multiples: tuple[int, ...]
    draws: int

    @property
    def run(self) -> Path:
        """Folder of the run."""
        return self.students.run

    def require_inputs(self) -> None:
        """Refuse a run or data that are not there; raises `WmddError`."""
        self.students.require_inputs("pool")


def worth_request(run: str | Path, given: Given) -> WorthRequest:
    """Return what is asked for.

    Args:
        run: folder of a run, or of the set in it.
        given: flags and settings, which replace those of the run.

    Raises:
        ConfigError: a name is unknown, or a value does not fit, or there are no data.
    """
    flags, students = students_asked(WorthFlags, run, given)
    if flags.multiples == ():
        raise ConfigError("multiples: a curve needs one or more; got none; give some, such as --multiples 2 5")
    return WorthRequest(students=students, multiples=flags.multiples or MULTIPLES, draws=flags.draws or DRAWS)
