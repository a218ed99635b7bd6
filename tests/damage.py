"""Damaged input: how to write it down, and what a reader may do with it."""

import json
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from wmdd.errors import WmddError

Value = TypeVar("Value")


def json_text(value: Any) -> str:
    """Return a value as JSON, however deep it is."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    try:
        return json.dumps(value)
    finally:
        sys.setrecursionlimit(limit)


def or_one_line(call: Callable[[], Value]) -> Value | None:
    """Return what `call` returns; None if it raised an error of ours, which must be one line."""
    try:
        return call()
    except WmddError as error:
        said = str(error)
    assert "\n" not in said, said
    return None
