"""Where JSON from a disk becomes values of known types: wholly, or not at all and in one line. Free of torch."""

from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from wmdd.errors import ArtifactError

Value = TypeVar("Value")


def read_as(kind: type[Value], path: Path, *, advice: str = "remove its folder and run again") -> Value:
    """Return the JSON file `path` as a value of type `kind`: a dataclass, a `TypedDict`, or any type of plain values.

    Fields that `kind` does not name are ignored, so that a file of a newer version can be read.

    Raises:
        ArtifactError: it is missing or unreadable, is not JSON, or is not a `kind`; the line ends in `advice`.
    """
    try:
        return _adapter(kind).validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        raise ArtifactError(f"{path} is damaged; got {_first(error)}; {advice}") from None
    except OSError as error:
        got = error.strerror or type(error).__name__
        raise ArtifactError(f"cannot read {path}; got {got}; {advice}") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _first(error: ValidationError) -> str:
    """Return where the first problem is, and what it is, in one short line."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    found = repr(first["input"])
    shown = f" ({found[:40]})" if place else ""
    return f"{place + ': ' if place else ''}{' '.join(first['msg'].split())[:120]}{shown}"
