"""Which columns of Parquet files hold the images and the labels.

A setting decides; else what `datasets` marks as `Image` and `ClassLabel`; else usual names and, for images, types. What
is ambiguous or of an unfit type is refused, never guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from wmdd.data.sources.parquet_reading import shown
from wmdd.data.sources.parquet_schema import FileSchema
from wmdd.errors import DataError
from wmdd.settings import DataSettings

IMAGE_NAMES = ("image", "images", "img", "picture", "photo", "pixels", "jpg", "jpeg", "png", "webp")
"""Usual names of image columns, the most usual first; case does not matter."""
LABEL_NAMES = ("label", "labels", "fine_label", "class", "target", "category", "cls")
"""Usual names of label columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The names of the columns that are read."""

    image: str
    label: str


def choose_columns(table: FileSchema, settings: DataSettings) -> Columns:
    """Return the image and the label column of a file.

    Raises:
        DataError: there is none, there are several, or one has an unfit type.
    """
    image = settings.image_column or _image_column(table)
    _require_one(table, image, "image")
    if not _is_image(table.schema.field(image).type):
        raise DataError(_unfit(table, image, "image", "bytes of image files"))
    label = settings.label_column or find_label(table)
    if label is None:
        raise DataError(_none_found(table, "label", f"a label column ({', '.join(LABEL_NAMES)})"))
    _require_one(table, label, "label")
    if _family(table.schema.field(label).type) is None:
        raise DataError(_unfit(table, label, "label", "one number or word a row"))
    return Columns(image=image, label=label)


def find_label(table: FileSchema) -> str | None:
    """Return the label column of a file by its description, else by its name; None if there is none.

    Raises:
        DataError: several fit.
    """
    marked = table.marked("ClassLabel")
    return _choose(table, "label", marked or table.schema.names, LABEL_NAMES, marked)


def _image_column(table: FileSchema) -> str:
    marked = table.marked("Image")
    pool = marked or [
        field.name for field in table.schema if _holds_bytes(field.type) and not table.is_other(field.name)
    ]
    column = _choose(table, "image", marked or table.schema.names, IMAGE_NAMES, pool)
    if column is None:
        raise DataError(_none_found(table, "image", "a column of image bytes"))
    return column


def _choose(
    table: FileSchema, part: str, columns: Sequence[str], usual: Sequence[str], candidates: Sequence[str]
) -> str | None:
    """Return the column of the most usual name among `columns`, else the only one of the `candidates`."""
    named = ([column for column in columns if column.lower() == name] for name in usual)
    found = list(dict.fromkeys(next(filter(None, named), candidates)))
    if len(found) > 1:
        raise DataError(
            f"several columns of {table.file!r} may be the {part}; got {shown(*found[:5])}; "
            f"choose one, such as --data.{part}_column {shown(found[0])}"
        )
    return found[0] if found else None


def require_alike(first: FileSchema, other: FileSchema, columns: Columns, *, labelled: bool = True) -> None:
    """Raise `DataError` unless the columns of two files are of one kind; unlabelled files need only the image."""
    for column in (columns.image, columns.label) if labelled else (columns.image,):
        kinds = [
            [table.schema.field(place).type for place in table.schema.get_all_field_indices(column)]
            for table in (first, other)
        ]
        alike = len(kinds[1]) == 1 and (
            _is_image(kinds[1][0]) if column == columns.image else _compatible(kinds[0][0], kinds[1][0])
        )
        if not alike:
            got = " and ".join(shown(*(str(kind)[:60] for kind in some)) or "no such column" for some in kinds)
            raise DataError(
                f"{first.file!r} and {other.file!r} disagree on column {column!r}; got {got}; write them alike"
            )


def _require_one(table: FileSchema, column: str, part: str) -> None:
    count = len(table.schema.get_all_field_indices(column))
    if count != 1:
        raise DataError(
            f"{table.file!r} has {count or 'no'} column{'s' * (count > 1)} {column!r}; got columns {table.listed()}; "
            + (f"correct --data.{part}_column" if count == 0 else "rename all but one")
        )


def _none_found(table: FileSchema, part: str, wanted: str) -> str:
    return (
        f"{table.file!r} has not {wanted}; got columns {table.listed()}; write Hugging Face image features or name the "
        f"column by --data.{part}_column"
    )


def _unfit(table: FileSchema, column: str, part: str, wanted: str) -> str:
    return (
        f"the {part} column {column!r} of {table.file!r} must hold {wanted}; "
        f"got {shown(table.schema.field(column).type)[:80]}; choose another by --data.{part}_column"
    )


def plain(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a dictionary-encoded column, or the type itself."""
    return kind.value_type if isinstance(kind, pa.DictionaryType) else kind


def is_text(kind: pa.DataType) -> bool:
    """Tell whether values are strings."""
    kind = plain(kind)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    kind = plain(kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def _holds_bytes(kind: pa.DataType) -> bool:
    """Tell whether a column may be images by its type alone: bytes, or a struct with `bytes`."""
    return _is_bytes(kind) or (pa.types.is_struct(kind) and _is_image(kind) and "bytes" in _parts(kind))


def _is_image(kind: pa.DataType) -> bool:
    """Tell whether a column can be read as images: bytes, paths, or a struct of both."""
    if not pa.types.is_struct(kind):
        return _is_bytes(kind) or is_text(kind)
    parts = _parts(kind)
    fits = {
        "bytes": all(_is_bytes(part) or pa.types.is_null(part) for part in parts.get("bytes", [])),
        "path": all(is_text(part) or pa.types.is_null(part) for part in parts.get("path", [])),
    }
    return bool(parts) and all(fits.values()) and all(len(same) == 1 for same in parts.values())


def _parts(kind: pa.DataType) -> dict[str, list[pa.DataType]]:
    parts: dict[str, list[pa.DataType]] = {}
    for field in kind:
        if field.name in {"bytes", "path"}:
            parts.setdefault(field.name, []).append(field.type)
    return parts


def _family(kind: pa.DataType) -> str | None:
    """Return how labels of a type are read; None if they cannot be."""
    kind = plain(kind)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_null(kind):
        return "nothing"
    return "text" if is_text(kind) or _is_bytes(kind) else None


def _compatible(one: pa.DataType, other: pa.DataType) -> bool:
    families = {_family(one), _family(other)}
    return None not in families and len(families - {"nothing"}) <= 1
