"""Parquet files with Hugging Face image features."""

import pickle
import shutil
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from parquet_files import LAZY, opened, png, values, write
from wmdd.data.loading import class_counts
from wmdd.data.sources.parquet import ParquetStore
from wmdd.errors import DataError


@pytest.mark.parametrize("held", ["test", "validation", "valid", "dev"])
@pytest.mark.parametrize("folder", ["", "data", "plain_text", "train"])
def test_splits_by_file_name(tmp_path, held, folder):
    below = "" if folder == "train" else folder
    write(tmp_path / "pets" / folder / "train-00000-of-00002.parquet", [0, 1, 1])
    write(tmp_path / "pets" / folder / "train-00001-of-00002.parquet", [0])
    other = held if folder == "train" else below
    write(tmp_path / "pets" / other / f"{held}-00000-of-00001.parquet", [1])
    train, val = opened(tmp_path / "pets")
    assert train.name == "pets"
    assert train.classes == val.classes == ("cat", "ant")  # ClassLabel's order, not the alphabet's
    assert train.labels.tolist() == [0, 1, 1, 0]
    assert values(train) == [10, 20, 30, 10]
    assert val.labels.tolist() == [1]


def test_what_datasets_writes_is_read(tmp_path):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y"])})
    rows = {"image": [{"bytes": png(value), "path": None} for value in (1, 2, 3, 4)], "label": [0, 1, 1, 0]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    train, val = opened(tmp_path, holdout=0.5)
    assert train.classes == ("x", "y")
    assert sorted(values(train) + values(val)) == [1, 2, 3, 4]


def test_a_single_file_is_split(tmp_path):
    path = write(tmp_path / "pets.parquet", [0, 1] * 5)
    train, val = opened(path, holdout=0.2)
    assert train.name == "pets"
    assert class_counts(train) == (4, 4)
    assert class_counts(val) == (1, 1)


@pytest.mark.parametrize("struct", [True, False])
def test_lazy_reading_in_any_order(tmp_path, struct):
    root = write(tmp_path / "train.parquet", [0, 1] * 12, struct=struct).parent
    train, val = opened(root)
    lazy, lazy_val = opened(root, memory_gb=LAZY)
    assert not lazy.images.in_memory
    order = torch.randperm(len(train)).tolist()
    assert torch.equal(lazy.images.fetch(order), train.images.fetch(order))
    again = pickle.loads(pickle.dumps(lazy.images))
    assert torch.equal(again.fetch(order), train.images.fetch(order))
    assert (lazy.fingerprint, lazy_val.fingerprint) == (train.fingerprint, val.fingerprint)


def test_labels_without_names(tmp_path):
    write(tmp_path / "numbers/train.parquet", [5, 3, 5], names=None)
    write(tmp_path / "numbers/test.parquet", [3], names=None)
    train, val = opened(tmp_path / "numbers")
    assert train.classes == ("3", "5")
    assert (train.labels.tolist(), val.labels.tolist()) == ([1, 0, 1], [0])
    write(tmp_path / "words/train.parquet", ["dog", "ant"], names=None, struct=False)
    write(tmp_path / "words/test.parquet", ["dog"], names=None, struct=False)
    train, val = opened(tmp_path / "words")
    assert train.classes == ("ant", "dog")
    assert val.labels.tolist() == [1]


def test_fine_labels_are_preferred_to_coarse(tmp_path):
    coarse = pa.array([0, 0, 0])
    write(tmp_path / "train.parquet", [0, 1, 1], column="fine_label", coarse_label=coarse)
    write(tmp_path / "test.parquet", [1], column="fine_label", coarse_label=coarse[:1])
    assert opened(tmp_path)[0].labels.tolist() == [0, 1, 1]


def test_classes_of_val_are_matched_by_name(tmp_path):
    write(tmp_path / "train.parquet", [0, 1], names=("cat", "ant"))
    write(tmp_path / "test.parquet", [0, 1], names=("ant", "cat"))
    assert opened(tmp_path)[1].labels.tolist() == [1, 0]
    write(tmp_path / "test.parquet", [0, 1], names=("ant", "dog"))
    with pytest.raises(DataError, match="the val images of .* none of the 2 classes; got 'dog'"):
        opened(tmp_path)


def test_labels_outside_the_classes(tmp_path):
    write(tmp_path / "train.parquet", [0, 1, 7])
    with pytest.raises(DataError, match="the train images of .* none of the 2 classes; got 7;"):
        opened(tmp_path)


def test_a_named_class_without_images(tmp_path):
    write(tmp_path / "train.parquet", [0, 0, 1, 1], names=("cat", "ant", "dog", "eel"))
    with pytest.raises(DataError, match="class 'dog' and 1 more of .* has no images in train"):
        opened(tmp_path)


def test_empty_splits(tmp_path):
    write(tmp_path / "train.parquet", [0, 1])
    write(tmp_path / "test.parquet", pa.array([], pa.int64()))
    with pytest.raises(DataError, match="the val split of .* is empty"):
        opened(tmp_path)
    write(tmp_path / "train.parquet", pa.array([], pa.int64()))
    with pytest.raises(DataError, match="the train split of .* is empty"):
        opened(tmp_path)


@pytest.mark.parametrize("memory", [1.0, LAZY])
def test_broken_rows_are_named_by_file_and_row(tmp_path, memory):
    images = pa.array([{"bytes": data} for data in (png(1), png(2), b"no", None, png(5))])
    labels = pa.array([0, 1, 0, 1, 1])
    pq.write_table(pa.table({"image": images[:1], "label": labels[:1]}), tmp_path / "train-0.parquet")
    pq.write_table(pa.table({"image": images[1:], "label": labels[1:]}), tmp_path / "train-1.parquet", row_group_size=1)
    write(tmp_path / "test.parquet", [1], names=None)
    with pytest.raises(DataError, match="2 of 6 images .* got train-1.parquet row 1 .*, train-1.parquet row 2"):
        opened(tmp_path, memory_gb=memory)
    train, _ = opened(tmp_path, memory_gb=memory, max_broken=2)
    assert train.broken == ("train-1.parquet row 1", "train-1.parquet row 2")
    assert values(train, [2, 0]) == [5, 1]


def test_fingerprint_follows_content_and_not_place(tmp_path):
    write(tmp_path / "a/train.parquet", [0, 1] * 5)
    first = opened(tmp_path / "a")[0].fingerprint
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert opened(tmp_path / "b")[0].fingerprint == first
    write(tmp_path / "b/train.parquet", [1, 0] * 5)
    assert opened(tmp_path / "b")[0].fingerprint != first


def test_damaged_and_unfit_files(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="cannot read 'train.parquet'; got Parquet magic bytes"):
        opened(tmp_path)
    (tmp_path / "train.parquet").rename(tmp_path / "test.parquet")
    with pytest.raises(DataError, match="no Parquet file of training images; got test.parquet"):
        opened(tmp_path)


def test_several_sets_in_one_folder(tmp_path):
    write(tmp_path / "one/train.parquet", [0, 1])
    write(tmp_path / "two/train.parquet", [0, 1])
    write(tmp_path / ".three/train.parquet", [0, 1])
    with pytest.raises(DataError, match="several sets of Parquet files; got one, two"):
        opened(tmp_path)


def test_a_group_is_read_once_for_sorted_rows(tmp_path, monkeypatch):
    write(tmp_path / "train.parquet", [0, 1] * 10, group=5)
    store = ParquetStore(tmp_path, ["train.parquet"], "image")
    images = [image["bytes"] for image in pq.read_table(tmp_path / "train.parquet")["image"].to_pylist()]
    reads = []
    whole = pq.ParquetFile.read_row_group

    def read(file, group, **options):
        reads.append(group)
        return whole(file, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", read)
    assert list(store.payloads(np.arange(20))) == images
    list(store.payloads([19, 0]))
    assert reads == [0, 1, 2, 3]


def shared(name):
    for parent in Path(__file__).resolve().parents:
        if (parent / "shared/data" / name).is_dir():
            return parent / "shared/data" / name
    return None


@pytest.mark.skipif(shared("cifar10") is None, reason="the shared CIFAR-10 files are not here")
def test_shared_cifar10():
    train, val = opened(shared("cifar10"), memory_gb=LAZY)
    assert (len(train), len(val), train.canvas, train.channels) == (50_000, 10_000, 32, 3)
    assert train.classes[0] == "airplane"
    assert class_counts(val) == (1000,) * 10
    assert train.images.fetch([49_999, 0]).shape == (2, 3, 32, 32)
