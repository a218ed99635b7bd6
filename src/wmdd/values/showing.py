"""How records show themselves: what they hold and in which shape, not every number. Free of torch."""

from collections.abc import Sized
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

_SHOWN = 4
"""Entries of a tuple that are shown."""


def short_repr(self: Any) -> str:
    """Return the `repr` of a dataclass in which a tensor is its type and shape; set it as `__repr__` of the class."""
    shown = (f"{field.name}={shown_value(getattr(self, field.name))}" for field in fields(self) if field.repr)
    return f"{type(self).__name__}({', '.join(shown)})"


def shown_value(value: Any) -> str:
    """Return a value as a record shows it."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"<{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}>"
    if value is None or isinstance(value, str | int | float | Path):
        return repr(value)
    if is_dataclass(value):
        return short_repr(value)
    if isinstance(value, tuple):
        more = f", ... {len(value)} in all" if len(value) > _SHOWN else "," if len(value) == 1 else ""
        return f"({', '.join(map(shown_value, value[:_SHOWN]))}{more})"
    return f"<{type(value).__name__} of {len(value)}>" if isinstance(value, Sized) else f"<{type(value).__name__}>"
