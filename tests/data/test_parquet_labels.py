"""Labels of Parquet files: missing ones, their types, and names."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquet_files import LAZY, opened, values, write
from wmdd.errors import DataError

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def warnings_of(image_set):
    return [(warning.kind, warning.count) for warning in image_set.warnings]


@pytest.mark.parametrize("memory", [1.0, LAZY])
@pytest.mark.parametrize(
    ("labels", "names", "classes"),
    [
        ([0, -1, 1, None, 1], ("cat", "ant"), ("cat", "ant")),
        ([0, -1, 1, None, 1], None, ("0", "1")),
        (["a", "-1", "b", None, "b"], None, ("a", "b")),
        (["a", "", "b", " ", "b"], None, ("a", "b")),
        ([0.0, -1.0, 1.0, float("nan"), 1.0], None, ("0", "1")),
        (pa.array(["a", "-1", "b", None, "b"]).dictionary_encode(), None, ("a", "b")),
        (pa.array([0, -1, 1, None, 1], pa.int8()).dictionary_encode(), None, ("0", "1")),
        (pa.array(["a", None, "b", None, "b"], pa.large_string()), None, ("a", "b")),
        (pa.array([b"a", None, b"b", None, b"b"]), None, ("a", "b")),
        ([False, None, True, None, True], None, ("False", "True")),
    ],
)
def test_rows_without_a_label_are_left_out_and_counted(tmp_path, labels, names, classes, memory):
    write(tmp_path / "train.parquet", labels, names=names)
    write(tmp_path / "test.parquet", labels[:1], names=names)
    train, val = opened(tmp_path, memory_gb=memory)
    assert (train.classes, train.labels.tolist(), values(train)) == (classes, [0, 1, 1], [10, 30, 50])
    assert val.labels.tolist() == [0]
    assert warnings_of(train) == [("unlabelled", 2)]
    assert "2 of 5 train images of" in train.warnings[0].text


@pytest.mark.parametrize("labels", [[-1, -1], [None, None], ["-1", ""], [float("nan")] * 2])
def test_a_split_without_labels_is_held_out_from_train(tmp_path, labels):
    write(
        tmp_path / "train.parquet",
        [0, 1] * 5 if isinstance(labels[0], (int, float, type(None))) else ["a", "b"] * 5,
        names=None,
    )
    write(tmp_path / "test.parquet", labels, names=None)
    train, val = opened(tmp_path, holdout=0.2)
    assert (len(train), len(val)) == (8, 2)
    assert warnings_of(train) == [("unlabelled", 2)]
    assert "2 of 2 test images" in train.warnings[0].text


def test_the_split_with_labels_is_taken(tmp_path):
    write(tmp_path / "train.parquet", [0, 1])
    write(tmp_path / "val.parquet", [-1, -1, -1])
    write(tmp_path / "test.parquet", [1, -1])
    train, val = opened(tmp_path)
    assert val.labels.tolist() == [1]
    assert warnings_of(train) == [("unlabelled", 3), ("unlabelled", 1)]


def test_a_test_split_without_a_label_column(tmp_path):
    table = pq.read_table(write(tmp_path / "train.parquet", [0, 1] * 5))
    pq.write_table(table.drop(["label"]).replace_schema_metadata(None), tmp_path / "test.parquet")
    train, val = opened(tmp_path, holdout=0.2)
    assert (len(train), len(val), warnings_of(train)) == (8, 2, [("unlabelled", 10)])


@pytest.mark.parametrize("labels", [[-1, None], ["-1", ""], [None, None]])
def test_training_images_without_labels(tmp_path, labels):
    write(tmp_path / "train.parquet", labels, names=None)
    with pytest.raises(
        DataError, match="the training images of .* have no labels; got -1 or nothing in column 'label'"
    ):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ([[0], [1]], "must hold one number or word a row; got list<"),
        ([{"id": 0}, {"id": 1}], "must hold one number or word a row; got struct<"),
        ([0.5, 1.0], "are not whole numbers; got 0.5"),
        ([float("inf"), 1.0], "are not whole numbers; got inf"),
        ([0, -100], "is negative; got -100"),
        (pa.array([2**64 - 1, 0], pa.uint64()), "cannot read 'train.parquet'; got Integer value 18446744073709551615"),
        (pa.array([b"\xff", b"a"]), "cannot read 'train.parquet'; got Invalid UTF8"),
    ],
)
def test_labels_of_unfit_types(tmp_path, labels, line):
    write(tmp_path / "train.parquet", labels, names=None)
    with pytest.raises(DataError, match=line):
        opened(tmp_path)


def test_names_are_compared_composed(tmp_path):
    write(tmp_path / "words/train.parquet", [COMPOSED, "tea", DECOMPOSED], names=None)
    write(tmp_path / "words/test.parquet", [DECOMPOSED], names=None)
    train, val = opened(tmp_path / "words")
    assert (train.classes, train.labels.tolist(), val.labels.tolist()) == ((COMPOSED, "tea"), [0, 1, 0], [0])
    write(tmp_path / "names/train.parquet", [0, 1], names=(COMPOSED, "tea"))
    write(tmp_path / "names/test.parquet", [1], names=("tea", DECOMPOSED))
    train, val = opened(tmp_path / "names")
    assert (train.classes, val.labels.tolist()) == ((COMPOSED, "tea"), [0])


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("cat", "cat"), "two classes of one name; got 'cat'"),
        ((COMPOSED, DECOMPOSED), "two classes of one name; got 'caf"),
        (("cat",), "a label that is none of the 1 classes; got 1"),
        (("cat", " "), "are not a list of names"),
        ((), "none of the 0 classes; got 0"),
    ],
)
def test_names_that_do_not_fit(tmp_path, names, line):
    write(tmp_path / "train.parquet", [0, 1], names=names)
    with pytest.raises(DataError, match=line):
        opened(tmp_path)


def test_words_under_class_names(tmp_path):
    write(tmp_path / "train.parquet", ["ant", "cat"], names=("cat", "ant"))
    write(tmp_path / "test.parquet", ["ant"], names=("cat", "ant"))
    train, val = opened(tmp_path)
    assert (train.labels.tolist(), val.labels.tolist()) == ([1, 0], [1])


def test_names_of_one_file_count_for_all(tmp_path):
    write(tmp_path / "train-0.parquet", [0, 1], names=None)
    write(tmp_path / "train-1.parquet", [1, 0], names=("cat", "ant"))
    write(tmp_path / "test.parquet", [1], names=None)
    train, val = opened(tmp_path)
    assert (train.classes, train.labels.tolist(), val.labels.tolist()) == (("cat", "ant"), [0, 1, 1, 0], [1])
    write(tmp_path / "train-0.parquet", [0, 1], names=("ant", "cat"))
    with pytest.raises(
        DataError, match=r"'train-0.parquet' and 'train-1.parquet' disagree on the class names .* 'ant'"
    ):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("metadata", "line"),
    [
        ("not json", "got Invalid JSON"),
        ("[" * 5000, "got Invalid JSON: recursion limit"),
        ("\x00\x7f", "got Invalid JSON"),
        ("[]", "got Input should be an object"),
        ('{"info": []}', "got info: Input should be an object"),
        ('{"info": {"features": [1]}}', "got info.features: Input should be an object"),
        ('{"info": {"features": {"label": 3}}}', "feature 'label' of no known type"),
        ('{"info": {"features": {"label": {"_type": 3}}}}', "feature 'label' of no known type"),
        ('{"info": {"features": {"label": {"_type": "ClassLabel", "names": "ab"}}}}', "not a list of names; got 'ab'"),
        ('{"info": {"features": {"label": {"_type": "ClassLabel", "names": [1, 2]}}}}', "not a list of names"),
        ('{"info": {"features": {"label": {"_type": "ClassLabel", "names": {"0": "a"}}}}}', "not a list of names"),
        ('{"info": {"features": {"kind": {"_type": "ClassLabel", "names": ["a"]}}}}', "describes a column 'kind'"),
    ],
)
def test_damaged_descriptions(tmp_path, metadata, line):
    table = pq.read_table(write(tmp_path / "train.parquet", [0, 1]))
    pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=line) as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"info": None},
        {"info": {"features": None}},
        {"info": {"features": {}}},
        {"info": {"features": {"label": {"_type": "ClassLabel", "num_classes": 2}}}},
        {"info": {"features": {"boxes": [{"_type": "Value"}], "label": {"dtype": "int64", "_type": "Value"}}}},
    ],
)
def test_descriptions_that_say_nothing_of_names(tmp_path, metadata):
    table = pq.read_table(write(tmp_path / "train.parquet", [0, 1]))
    for split in ("train", "test"):
        described = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
        pq.write_table(described, tmp_path / f"{split}.parquet")
    train, _ = opened(tmp_path)
    assert (train.classes, train.labels.tolist()) == (("0", "1"), [0, 1])
