"""What a run has to say about its input and its outcome although it goes on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWarning:
    """Something that a user should know: shown on the terminal, in the report and in the card, kept in `metrics.json`.

    Nothing that makes a result wrong in silence: that is an error.
    """

    kind: str
    """One word or two for programs, such as `"skipped files"`; equal for all warnings of one sort."""
    text: str
    """One line: what was seen, and what to do."""
    count: int = 1
    """Number of files, images or classes that it is about."""
