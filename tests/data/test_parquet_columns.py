"""Which columns of Parquet files hold images and labels; files that disagree."""

import json

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquet_files import LAZY, opened, png, values, write
from wmdd.data.sources.opening import open_data
from wmdd.errors import ConfigError, DataError
from wmdd.settings import DataSettings

RIGHT = [png(value) for value in (10, 20, 30)]
WRONG = [png(value) for value in (90, 91, 92)]
LABELS = [0, 1, 1]
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def struct(images):
    return pa.array([{"bytes": image, "path": "x.png"} for image in images], STRUCT)


def put(path, described=None, **columns):
    """Write a table of any columns; `described` are those of the Hugging Face description."""
    table = pa.table(columns)
    if described is not None:
        features = {column: {"_type": kind, "names": ["a", "b"]} for column, kind in described.items()}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    pq.write_table(table, path.parent / "test.parquet")


@pytest.mark.parametrize(
    "columns",
    [
        {"thumb": WRONG, "label": LABELS, "image": struct(RIGHT)},
        {"thumb": struct(WRONG), "label": LABELS, "img": RIGHT},
        {"mask": struct(WRONG), "Label": LABELS, "Image": struct(RIGHT)},
        {"img": WRONG, "class": LABELS, "image": RIGHT},
        {"scan": RIGHT, "target": LABELS},
        {"photo": pa.array(RIGHT, pa.large_binary()), "fine_label": LABELS, "coarse_label": [0, 0, 0], "raw": WRONG},
        {"image": pa.array(RIGHT).dictionary_encode(), "label": LABELS},
        {"image": pa.array([{"bytes": image, "path": None} for image in RIGHT]), "label": LABELS},
    ],
)
@pytest.mark.parametrize("memory", [1.0, LAZY])
def test_usual_names_decide(tmp_path, columns, memory):
    put(tmp_path / "train.parquet", **columns)
    train, _ = opened(tmp_path, memory_gb=memory)
    assert (values(train), train.labels.tolist()) == ([10, 20, 30], LABELS)


@pytest.mark.parametrize(
    ("described", "columns"),
    [
        ({"scan": "Image", "kind": "ClassLabel"}, {"image": WRONG, "scan": RIGHT, "label": [1, 1, 0], "kind": LABELS}),
        ({"thumb": "Image", "image": "Image"}, {"thumb": WRONG, "image": RIGHT, "label": LABELS}),
        ({"sound": "Audio"}, {"sound": struct(WRONG), "scan": struct(RIGHT), "label": LABELS}),
    ],
)
def test_the_description_decides(tmp_path, described, columns):
    put(tmp_path / "train.parquet", described, **columns)
    train, _ = opened(tmp_path)
    assert (values(train), train.labels.tolist()) == ([10, 20, 30], LABELS)


def test_settings_decide(tmp_path):
    put(tmp_path / "train.parquet", {"image": "Image"}, image=WRONG, scan=RIGHT, label=[1, 1, 0], kind=["x", "y", "y"])
    train, _ = opened(tmp_path, image_column="scan", label_column="kind")
    assert (values(train), train.classes, train.labels.tolist()) == ([10, 20, 30], ("x", "y"), LABELS)
    assert train.fingerprint != opened(tmp_path)[0].fingerprint


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"image": [1, 2, 3], "label": LABELS}, "image column 'image' .* must hold bytes of image files; got int64"),
        ({"image": ["a", "b", "c"], "label": LABELS, "scan": RIGHT}, "no image of a sample of 3 can be read"),
        ({"image": [1, 2, 3], "label": LABELS, "scan": RIGHT}, "image column 'image' .* got int64; .*--data.image_col"),
        ({"image": [[1], [2], [3]], "label": LABELS}, "must hold bytes of image files; got list<"),
        ({"image": [{"x": 1}] * 3, "label": LABELS}, "must hold bytes of image files; got struct<x: int64>"),
        ({"image": [{"bytes": 1}] * 3, "label": LABELS}, "must hold bytes of image files; got struct<bytes: int64>"),
        ({"thumb": WRONG, "scan": RIGHT, "label": LABELS}, "may be the image; got thumb, scan; .* --data.image_column"),
        ({"image": RIGHT, "Image": RIGHT, "label": LABELS}, "may be the image; got image, Image; "),
        ({"image": RIGHT, "label": LABELS, "Label": LABELS}, "may be the label; got label, Label; "),
        ({"kind": [1, 2, 3], "label": LABELS}, "'train.parquet' has not a column of image bytes; got columns kind"),
        ({"image": RIGHT, "kind": LABELS}, "'train.parquet' has not a label column .* --data.label_column"),
    ],
)
def test_columns_that_do_not_do(tmp_path, columns, line):
    put(tmp_path / "train.parquet", **columns)
    with pytest.raises(DataError, match=line):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("described", "columns", "line"),
    [
        (
            {"image": "Image"},
            {"thumb": WRONG, "label": LABELS},
            r"describes a column 'image' \(Image\) that it has not",
        ),
        ({"image": "Image"}, {"image": [1, 2, 3], "thumb": WRONG, "label": LABELS}, "must hold bytes .* got int64"),
        ({"a": "Image", "b": "Image"}, {"a": RIGHT, "b": WRONG, "label": LABELS}, "may be the image; got a, b; "),
        ({"k": "ClassLabel", "m": "ClassLabel"}, {"image": RIGHT, "k": LABELS, "m": LABELS}, "may be the label; got k"),
        ({"label": "ClassLabel"}, {"image": RIGHT, "target": LABELS}, "describes a column 'label'"),
    ],
)
def test_descriptions_that_do_not_decide(tmp_path, described, columns, line):
    put(tmp_path / "train.parquet", described, **columns)
    with pytest.raises(DataError, match=line):
        opened(tmp_path)


def test_columns_of_one_name(tmp_path):
    for names, line in ((["image", "image", "label"], "2 columns 'image'"), (["image", "label", "label"], "2 columns")):
        arrays = [RIGHT, *([RIGHT] if names.count("image") == 2 else [LABELS]), LABELS]
        pq.write_table(pa.Table.from_arrays([pa.array(array) for array in arrays], names), tmp_path / "train.parquet")
        with pytest.raises(DataError, match=line):
            opened(tmp_path)


@pytest.mark.parametrize("setting", ["image_column", "label_column"])
def test_settings_that_name_no_column(tmp_path, setting):
    put(tmp_path / "train.parquet", image=RIGHT, label=LABELS)
    with pytest.raises(DataError, match=f"has no column 'scan'; got columns image .*; correct --data.{setting}"):
        opened(tmp_path, **{setting: "scan"})
    with pytest.raises(ConfigError, match=f"data.{setting} is for Parquet; got 'digits'"):
        open_data("digits", DataSettings(**{setting: "scan"}))


IMAGES = {"image": struct(RIGHT)}


@pytest.mark.parametrize(
    ("second", "line"),
    [
        ({**IMAGES, "label": ["x", "y", "y"]}, "'label'; got int64 and string"),
        ({**IMAGES, "label": [[0], [1], [1]]}, "'label'; got int64 and list<"),
        ({**IMAGES, "label": [{"id": 0}] * 3}, "'label'; got int64 and struct<"),
        ({**IMAGES, "label": [True, False, True]}, "'label'; got int64 and bool"),
        ({**IMAGES, "labels": LABELS}, "'label'; got int64 and no such column"),
        ({"img": struct(RIGHT), "label": LABELS}, "'image'; got struct<.*> and no such column"),
        ({"image": [1, 2, 3], "label": LABELS}, "'image'; got struct<.*> and int64"),
    ],
)
@pytest.mark.parametrize("other", ["train-1.parquet", "val.parquet"])
def test_files_that_disagree(tmp_path, second, line, other):
    pq.write_table(pa.table({**IMAGES, "label": LABELS}), tmp_path / "train-0.parquet")
    pq.write_table(pa.table(second), tmp_path / other)
    with pytest.raises(DataError, match=f"'train-0.parquet' and '{other}' disagree on column {line}"):
        opened(tmp_path)


def test_files_whose_types_differ_without_consequence(tmp_path):
    kinds = (pa.int64(), pa.int8(), pa.uint32(), pa.float64())
    for number, kind in enumerate(kinds):
        images = RIGHT if number % 2 else struct(RIGHT)
        table = pa.table({"image": images, "label": pa.array([0, 1, 1], kind), "more": [number] * 3})
        pq.write_table(table, tmp_path / f"train-{number}.parquet")
    pq.write_table(pa.table({"image": RIGHT, "label": pa.nulls(3)}), tmp_path / "train-9.parquet")
    pq.write_table(pa.table({"label": [1], "image": RIGHT[:1]}), tmp_path / "test.parquet")
    train, val = opened(tmp_path)
    assert train.labels.tolist() == [0, 1, 1] * 4
    assert values(train, np.arange(12)) == [10, 20, 30] * 4
    assert val.labels.tolist() == [1]


def test_missing_labels_as_datasets_writes_them(tmp_path):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y"])})
    rows = {"image": [{"bytes": png(value), "path": None} for value in (1, 2, 3, 4)], "label": [0, -1, None, 1]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    write(tmp_path / "test.parquet", [0, 1], names=("y", "x"))
    train, val = opened(tmp_path)
    assert (values(train), train.labels.tolist(), val.labels.tolist()) == ([1, 4], [0, 1], [1, 0])


@pytest.mark.parametrize(
    "columns",
    [
        {"a\nb": RIGHT, "c\nd": RIGHT, "label": LABELS},
        {"a\nb": LABELS},
        {"image": [{"a\nb": 1}] * 3, "label": LABELS},
        {"image": RIGHT, "label": [{"a\nb": 1}] * 3},
    ],
)
def test_names_with_line_breaks_stay_on_one_line(tmp_path, columns):
    put(tmp_path / "train.parquet", **columns)
    (tmp_path / "test.parquet").rename(tmp_path / "train\n1.parquet")
    with pytest.raises(DataError) as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)
