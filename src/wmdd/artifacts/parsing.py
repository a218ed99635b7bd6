"""Where JSON from a disk becomes values of known types: wholly, or not at all and in one line. Free of torch."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from wmdd.errors import ArtifactError

Value = TypeVar("Value")
PlainName = Annotated[str, Field(max_length=200, pattern=r"^[^/\\.\x00-\x1f][^/\\\x00-\x1f]*$")]
"""Name of a file or folder inside a known one: no path, so that nothing outside is read."""


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


def lines_as(kind: type[Value], lines: Iterable[bytes]) -> tuple[list[Value], int]:
    """Return the lines that hold a `kind`, and the number of those that hold something else, such as a torn one."""
    values: list[Value] = []
    skipped = 0
    for line in lines:
        try:
            values.append(_adapter(kind).validate_json(line, strict=True))
        except ValidationError:
            skipped += bool(line.strip())
    return values, skipped


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
