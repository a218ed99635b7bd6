"""The errors that wmdd raises on purpose.

Every message is one line of the form *what is wrong; got X; do Y*. The command line prints it and exits with code 2;
any other exception is a bug in wmdd and shows a traceback.
"""

import difflib
from collections.abc import Iterable


class WmddError(Exception):
    """Base of all errors about the user's input or machine."""


class ConfigError(WmddError):
    """A setting, a flag or a recipe is wrong.

    Deliberately not a `ValueError`: pydantic and tyro catch those and would bury the line in a report of their own.
    """


class DataError(WmddError, ValueError):
    """The given images or labels cannot be used as they are."""


class ArtifactError(WmddError, OSError):
    """A file or folder of results is missing, foreign or damaged."""


class NumericsError(WmddError, ArithmeticError):
    """A computation has no meaningful result (NaN, infinity, a failed solver)."""


class MissingExtraError(WmddError, ImportError):
    """An optional package is needed; the message names the extra that installs it."""


def did_you_mean(word: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """Return `"; did you mean 'x'?"` for the known word nearest to `word`, else `otherwise`, else all known words."""
    options = sorted(set(known))
    near = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    if otherwise is not None:
        return f"; {otherwise}"
    return f"; choose one of {', '.join(options)}" if options else ""
