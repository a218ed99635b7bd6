"""Names of splits, as `datasets` reads them."""

import pytest

from wmdd.data.sources.splits import names_a_split, split_of


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("TRAIN-00000-of-00001.parquet", "train"),
        ("valid", "val"),
        ("dev.parquet", "val"),
        ("Validation", "val"),
        ("testing", "test"),
        ("eval", "test"),
        ("evaluation", "test"),
        ("test1", "test"),
        ("test 0", "test"),
        ("train_test.parquet", "test"),
        ("my-data/train/0000.parquet", "train"),
        ("trainers", None),
        ("fold_a", None),
        ("contest", None),
    ],
)
def test_split_of(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("name", "expected"), [("Training", True), ("test_1", True), ("test_tube", False), ("1", False)]
)
def test_names_that_consist_of_split_words(name: str, expected: bool) -> None:
    assert names_a_split(name) is expected
