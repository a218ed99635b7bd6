"""Which Parquet files are for training, and which for validation."""

import os
import shutil

import pytest

from parquet_files import opened, values, write
from wmdd.errors import DataError


@pytest.mark.parametrize(
    "held",
    ["testing", "eval", "evaluation", "test1", "test 0", "TEST", "Validation", "DEV", "my-test-00000-of-00001", "val"],
)
@pytest.mark.parametrize("training", ["train", "Training", "train2017"])
def test_words_of_splits(tmp_path, held, training):
    write(tmp_path / f"{training}.parquet", [0, 1, 1])
    write(tmp_path / f"{held}.parquet", [1])
    train, val = opened(tmp_path)
    assert (len(train), val.labels.tolist()) == (3, [1])


@pytest.mark.parametrize(
    ("training", "held"),
    [
        ("Training/0000", "Testing/0000"),
        ("train/part-0", "test/part-0"),
        ("pets-train/0000", "pets-test/0000"),
        ("all/train/0000", "all/eval/0000"),
        ("train.parquet/part-0", "test.parquet/part-0"),
        ("train/train-0", "train/test-0"),
        ("test_set/train-0", "test_set/test-0"),
        ("train", "test/0000"),
        ("data/train/0000", "data/val/0000"),
    ],
)
def test_file_names_before_folders(tmp_path, training, held):
    write(tmp_path / f"{training}.parquet", [0, 1, 1])
    write(tmp_path / f"{held}.parquet", [1])
    train, val = opened(tmp_path)
    assert (len(train), val.labels.tolist()) == (3, [1])


def test_without_words_all_files_are_for_training(tmp_path):
    write(tmp_path / "pets-0.parquet", [0, 1] * 5)
    write(tmp_path / "pets-1.parquet", [0, 1] * 5)
    train, val = opened(tmp_path, holdout=0.2)
    assert (len(train), len(val)) == (16, 4)


def test_val_is_preferred_to_test(tmp_path):
    for name, labels in {"train": [0, 1], "test": [0], "valid": [1, 1]}.items():
        write(tmp_path / f"{name}.parquet", labels)
    assert opened(tmp_path)[1].labels.tolist() == [1, 1]


def test_some_files_with_words_and_some_without(tmp_path):
    write(tmp_path / "train.parquet", [0, 1])
    write(tmp_path / "holdback.parquet", [0, 1])
    with pytest.raises(DataError, match=r"got holdback.parquet beside train.parquet; .*test: test, testing, eval"):
        opened(tmp_path)


def test_hidden_files_do_not_count(tmp_path):
    write(tmp_path / "train.parquet", [0, 1] * 5)
    (tmp_path / "._train.parquet").write_bytes(b"from a Mac")
    shutil.copy(tmp_path / "train.parquet", tmp_path / ".test.parquet")
    train, val = opened(tmp_path, holdout=0.2)
    assert sorted(values(train) + values(val)) == [10 * number for number in range(1, 11)]


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_links_to_files(tmp_path, link):
    write(tmp_path / "train-0.parquet", [0, 1])
    write(tmp_path / "test.parquet", [0])
    link(tmp_path / "train-0.parquet", tmp_path / "train-1.parquet")
    train, _ = opened(tmp_path)
    assert len(train) == 2
    assert [(warning.kind, warning.count) for warning in train.warnings] == [("repeated files", 1)]
    (tmp_path / "test.parquet").unlink()
    link(tmp_path / "train-1.parquet", tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r"'train-0.parquet' and 'test.parquet' .* are one file"):
        opened(tmp_path)
