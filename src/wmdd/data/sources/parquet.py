"""Parquet files with Hugging Face image features: a column of `{bytes, path}` and a column of labels.

`parquet_folders` finds the files and their splits, `parquet_columns` chooses the columns, `parquet_labels` reads labels
and `parquet_store` images. Images are read by row group, so shuffled reading of a set that does not fit in memory reads
a whole group for each image: unpack such a set into class folders.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np

from wmdd.data.sources.listing import Listing, Rows, Source, Splits
from wmdd.data.sources.parquet_columns import LABEL_NAMES, Columns, choose_columns, require_alike
from wmdd.data.sources.parquet_folders import by_split, each_once, holds_parquet, parquet_files
from wmdd.data.sources.parquet_labels import Labels, read_labels
from wmdd.data.sources.parquet_schema import FileSchema
from wmdd.data.sources.parquet_store import ParquetStore
from wmdd.errors import DataError
from wmdd.settings import DataSettings
from wmdd.warnings import RunWarning


def list_parquet(root: Path, name: str, settings: DataSettings) -> Splits:
    """List the training and, where there is one, the validation split of a Parquet file or a folder of them.

    Images without a label (-1 or null) are left out. Validation is the first of `val` and `test` that has labels.

    Raises:
        DataError: a file is damaged or of no split, files disagree, columns are missing or ambiguous, or the training
            images have no labels.
    """
    splits = {"train": [root.name]} if root.is_file() else by_split(parquet_files(root))
    root = root.parent if root.is_file() else root
    splits, warnings = each_once(root, splits, name)
    train = _Table.train(root, splits["train"], name, settings)
    if len(train.labels.codes) and not train.labels.values:
        raise DataError(
            f"the training images of {name!r} have no labels; got -1 or nothing in column {train.columns.label!r} for "
            f"all {train.labels.missing}; label them or choose another column by --data.label_column"
        )
    classes = train.class_names()
    warnings += train.warnings()
    for split in ("val", "test"):
        if split in splits:
            held = train.sibling(split, splits[split])
            warnings += held.warnings()
            if held.labels.values or not len(held.labels.codes):
                return Splits(train=train.listing(classes), val=held.listing(classes), warnings=warnings)
    return Splits(train=train.listing(classes), warnings=warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The rows of one split: labels are read, images are not."""

    root: Path
    files: Sequence[str]
    name: str
    split: str
    columns: Columns
    schemas: Sequence[FileSchema]
    names: tuple[str, ...] | None
    """Class names by label; None = labels are names themselves."""
    labels: Labels

    @classmethod
    def train(cls, root: Path, files: Sequence[str], name: str, settings: DataSettings) -> "_Table":
        """Read the training split; its first file decides which columns are read of all files."""
        schemas = [FileSchema.of(root, file) for file in files]
        columns = choose_columns(schemas[0], settings)
        for schema in schemas[1:]:
            require_alike(schemas[0], schema, columns)
        return cls(
            root=root,
            files=files,
            name=name,
            split="train",
            columns=columns,
            schemas=schemas,
            names=_common_names(schemas, columns.label),
            labels=read_labels(root, files, columns.label),
        )

    def sibling(self, split: str, files: Sequence[str]) -> "_Table":
        """Read another split; its images are unlabelled if it has no column of labels at all."""
        schemas = [FileSchema.of(self.root, file) for file in files]
        columns = [column for schema in schemas for column in schema.schema.names]
        labelled = self.columns.label in columns or any(column.lower() in LABEL_NAMES for column in columns)
        require_alike(self.schemas[0], schemas[0], self.columns, labelled=labelled)
        for schema in schemas[1:]:
            require_alike(schemas[0], schema, self.columns, labelled=labelled)
        column, num_rows = self.columns.label, sum(schema.num_rows for schema in schemas)
        return replace(
            self,
            files=files,
            split=split,
            schemas=schemas,
            names=(labelled and _common_names(schemas, column)) or self.names,
            labels=read_labels(self.root, files, column) if labelled else Labels.none(num_rows),
        )

    def class_names(self) -> tuple[str, ...]:
        """Return ClassLabel's names, else the sorted labels of the files."""
        return self.names if self.names is not None else tuple(map(str, self.labels.values))

    def warnings(self) -> tuple[RunWarning, ...]:
        """Return what is to be said about images without a label."""
        missing, total = self.labels.missing, len(self.labels.codes)
        if not missing:
            return ()
        seen = f"{missing} of {total} {self.split} images of {self.name!r} have no label (-1 or none)"
        if missing == total:
            text = f"{seen}, so that split is not used; label them, or give a split with labels"
        else:
            text = f"{seen} and are left out; label them to use them"
        return (RunWarning(kind="unlabelled", text=text, count=missing),)

    def listing(self, classes: tuple[str, ...]) -> Listing:
        """Return the labelled images, with labels as positions in `classes`."""
        store = ParquetStore(self.root, self.files, self.columns.image)
        labels = self._positions(classes)
        if len(store) != len(labels):
            raise DataError(
                f"a file of the {self.split} images of {self.name!r} is damaged; got {len(labels)} labels for "
                f"{len(store)} images; fetch or write it again"
            )
        split = "train" if self.split == "train" else "val"
        listing = Listing.of(store, labels, name=self.name, split=split, classes=classes)
        return listing.take(labels >= 0) if (labels < 0).any() else listing

    def _positions(self, classes: tuple[str, ...]) -> Rows:
        table = {name: label for label, name in enumerate(classes)}
        names = [self._name_of(value) for value in self.labels.values]
        labels = [-1 if name is None else table.get(name, -1) for name in names]
        if -1 in labels:
            foreign = labels.index(-1)
            raise DataError(
                f"the {'train' if self.split == 'train' else 'val'} images of {self.name!r} have a label that is none "
                f"of the {len(classes)} classes; got {names[foreign] or self.labels.values[foreign]!r}; "
                "remove them or name the class"
            )
        return np.array([*labels, -1], dtype=np.int64)[self.labels.codes]

    def _name_of(self, label: int | str) -> str | None:
        if self.names is None or isinstance(label, str):
            return str(label)
        return self.names[label] if label < len(self.names) else None


def _common_names(schemas: Sequence[FileSchema], column: str) -> tuple[str, ...] | None:
    """Return the class names that the files of a split give; None if they give none."""
    given = [(schema.file, names) for schema in schemas if (names := schema.class_names(column)) is not None]
    for file, names in given[1:]:
        if names != given[0][1]:
            differing = next((a, b) for a, b in zip_longest(given[0][1], names) if a != b)
            raise DataError(
                f"{given[0][0]!r} and {file!r} disagree on the class names of {column!r}; "
                f"got {differing[0]!r} and {differing[1]!r}; write them alike"
            )
    return given[0][1] if given else None


def _is_parquet(data: str) -> bool:
    path = Path(data).expanduser()
    return (path.is_file() and path.suffix == ".parquet") or (path.is_dir() and holds_parquet(path))


def _list_path(data: str, settings: DataSettings) -> Splits:
    path = Path(data).expanduser()
    return list_parquet(path, path.stem if path.is_file() else path.resolve().name, settings)


PARQUET = Source(
    forms={
        "FOLDER or FILE of Parquet": "Hugging Face image features; files named train-*, validation-*, test-*",
    },
    claims=_is_parquet,
    list_splits=_list_path,
    has_columns=True,
)
