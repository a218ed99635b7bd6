"""What a reader may do with damaged input: succeed, or say one line."""

from collections.abc import Callable
from typing import TypeVar

from wmdd.errors import WmddError

Value = TypeVar("Value")


def or_one_line(call: Callable[[], Value]) -> Value | None:
    """Return what `call` returns; None if it raised an error of ours, which must be one line."""
    try:
        return call()
    except WmddError as error:
        said = str(error)
    assert "\n" not in said, said
    return None
