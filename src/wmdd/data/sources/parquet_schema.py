"""The columns of a Parquet file, with the description that `datasets` stores in the schema's metadata."""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from wmdd.data.sources.parquet_reading import reading, shown
from wmdd.errors import DataError

_SHOWN = 8


@dataclass
class _Info:
    features: dict[str, Any] | None = None


@dataclass
class _Metadata:
    info: _Info | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSchema:
    """The columns of one file."""

    file: str
    schema: pa.Schema
    features: dict[str, Any]
    """Column → its description by `datasets`, if there is one."""
    num_rows: int

    @classmethod
    def of(cls, root: Path, file: str) -> "FileSchema":
        """Read the schema of a file.

        Raises:
            DataError: the file or its description is damaged.
        """
        with reading(file):
            metadata = pq.read_metadata(root / file)
            schema = metadata.schema.to_arrow_schema()
        return cls(file=file, schema=schema, features=_features(schema, file), num_rows=metadata.num_rows)

    def marked(self, kind: str) -> list[str]:
        """Return the columns that the description calls `kind`.

        Raises:
            DataError: it does so only for columns that the table has not.
        """
        described = [name for name, feature in self.features.items() if _kind(feature) == kind]
        present = [name for name in described if name in self.schema.names]
        if described and not present:
            raise DataError(
                f"{self.file!r} describes a column {described[0]!r} ({kind}) that it has not; got columns "
                f"{self.listed()}; write the file again or choose one by "
                f"--data.{'image' if kind == 'Image' else 'label'}_column"
            )
        return present

    def is_other(self, column: str) -> bool:
        """Tell whether the description calls a column something that is no image, such as `Audio`."""
        return _kind(self.features.get(column)) not in {None, "Image", "Value"}

    def listed(self) -> str:
        """Return the names and types of the columns, for messages."""
        fields = [f"{shown(field.name)} ({shown(field.type)[:40]})" for field in self.schema]
        return ", ".join(fields[:_SHOWN]) + (f" and {len(fields) - _SHOWN} more" if len(fields) > _SHOWN else "")

    def class_names(self, column: str) -> tuple[str, ...] | None:
        """Return the class names of a ClassLabel, NFC; None if the column is none or has none.

        Raises:
            DataError: they are not different names.
        """
        feature = self.features.get(column)
        names = feature.get("names") if isinstance(feature, dict) and _kind(feature) == "ClassLabel" else None
        if names is None:
            return None
        if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
            raise DataError(
                f"the class names of column {column!r} of {self.file!r} are not a list of names; "
                f"got {str(names)[:80]!r}; write the file again"
            )
        composed = [unicodedata.normalize("NFC", name) for name in names]
        twice = [name for name, count in Counter(composed).items() if count > 1]
        if twice:
            raise DataError(f"{self.file!r} has two classes of one name; got {twice[0]!r}; rename one or join them")
        return tuple(composed)


def _kind(feature: Any) -> str | None:
    kind = feature.get("_type") if isinstance(feature, dict) else None
    return kind if isinstance(kind, str) else None


def _features(schema: pa.Schema, file: str) -> dict[str, Any]:
    stored = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        metadata = _adapter().validate_json(stored, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        got = ": ".join([".".join(str(key) for key in first["loc"]), first["msg"]]).removeprefix(": ")
        raise DataError(_damaged(file, got)) from None
    features = (metadata.info and metadata.info.features) or {}
    for column, feature in features.items():
        kind = feature.get("_type", "") if isinstance(feature, dict) else "" if isinstance(feature, list) else None
        if not isinstance(kind, (str, dict)):  # nested columns: a list or a dictionary of features
            raise DataError(_damaged(file, f"feature {column!r} of no known type"))
    return features


def _damaged(file: str, got: str) -> str:
    return (
        f"the description of the columns of {file!r} is damaged; got {' '.join(got.split())[:160]}; write the file "
        "again, or without the metadata 'huggingface'"
    )


@cache
def _adapter() -> TypeAdapter[_Metadata]:
    return TypeAdapter(_Metadata)
