"""Damaged files of sets that are called by name: one line, or images and labels that fit together."""

import gzip
import json
import struct

import numpy as np
import pytest
import torchvision
from PIL import Image

from mutations import damaged
from wmdd.data.sources import named
from wmdd.data.sources.opening import open_data
from wmdd.errors import DataError
from wmdd.settings import DataSettings

NUMBER = 30
PARTS = {"train": "train", "t10k": "val"}


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setenv("WMDD_DATA", str(tmp_path / "root"))
    monkeypatch.setattr(named, "DEBIAN_FASHION", tmp_path / "debian")
    monkeypatch.setattr(torchvision.datasets.MNIST, "download", offline)


def idx(values):
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def files(suffix="", pack=bytes):
    """Return the four files of MNIST with few images, by name."""
    rng = np.random.default_rng(0)
    found = {}
    for prefix in PARTS:
        pixels = rng.integers(0, 256, (NUMBER, 6, 6), dtype=np.uint8)
        labels = (np.arange(NUMBER) % 10).astype(np.uint8)
        found[f"{prefix}-images-idx3-ubyte{suffix}"] = pack(idx(pixels))
        found[f"{prefix}-labels-idx1-ubyte{suffix}"] = pack(idx(labels))
    return found


def write(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)


def assert_one_line(error, source):
    assert "\n" not in str(error)
    assert source in str(error)


def assert_opens_or_one_line(source):
    try:
        train, val = open_data(source, DataSettings())
    except DataError as error:
        assert_one_line(error, source)
        return False
    for split in (train, val):
        assert len(split.images) == len(split.labels) == NUMBER
        assert 0 <= int(split.labels.min()) <= int(split.labels.max()) < 10
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", list(files()))
def test_mutations_of_mnist(tmp_path, name):
    folder = tmp_path / "root/mnist/MNIST/raw"
    write(folder, files())
    assert assert_opens_or_one_line("mnist")
    whole = files()[name]
    results = set()
    for seed in range(60):
        write(folder, {name: damaged(whole, seed)})
        results.add(assert_opens_or_one_line("mnist"))
    # These files have no checksum: another pixel or label is other data. Other numbers of them are refused.
    assert results == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(files(".gz")))
def test_mutations_of_debians_fashion_mnist(tmp_path, name):
    contents = files(".gz", lambda data: gzip.compress(data, mtime=0))
    write(tmp_path / "debian", contents)
    train, val = open_data("fashion-mnist", DataSettings())
    for seed in range(60):
        write(tmp_path / "debian", {name: damaged(contents[name], seed)})
        if assert_opens_or_one_line("fashion-mnist"):  # gzip has a checksum
            found = open_data("fashion-mnist", DataSettings())
            assert [split.fingerprint for split in found] == [train.fingerprint, val.fingerprint]


@pytest.mark.parametrize("count", [NUMBER - 1, NUMBER + 1, 0])
def test_images_and_labels_must_fit_together(tmp_path, count):
    for folder, suffix, pack in (("root/mnist/MNIST/raw", "", bytes), ("debian", ".gz", gzip.compress)):
        labels = {f"train-labels-idx1-ubyte{suffix}": pack(idx(np.zeros(count, dtype=np.uint8)))}
        write(tmp_path / folder, files(suffix, pack) | labels)
    for source in ("mnist", "fashion-mnist"):
        with pytest.raises(DataError) as caught:
            open_data(source, DataSettings())
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("label", [10, 255])
def test_labels_must_be_of_the_classes(tmp_path, label):
    labels = idx(np.array([*range(9), label] * 3, dtype=np.uint8))
    write(tmp_path / "root/mnist/MNIST/raw", files() | {"train-labels-idx1-ubyte": labels})
    with pytest.raises(DataError, match="images and labels of 'mnist' do not fit together in train"):
        open_data("mnist", DataSettings())


def test_a_listed_file_that_is_missing(tmp_path):
    base = tmp_path / "root/food101/food-101"
    (base / "meta").mkdir(parents=True)
    for split in ("train", "test"):
        names = {label: [f"{label}/{split}{number}" for number in range(2)] for label in ("pie", "egg")}
        (base / f"meta/{split}.json").write_text(json.dumps(names))
        for seed, path in enumerate(path for paths in names.values() for path in paths):
            target = base / f"images/{path}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (50 * seed, 0, len(split))).save(target)
    (base / "images/pie/train1.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 8 images of 'food101' cannot be read; got food-101/images/pie/train1"):
        open_data("food101", DataSettings())
    (base / "meta/test.json").write_text('{"pie": [')
    with pytest.raises(DataError, match="files of 'food101' are damaged; got .*; remove"):
        open_data("food101", DataSettings())
