"""Sets that are called by name: digits, torchvision's, Debian's Fashion-MNIST."""

import gzip
import json
import pickle
import subprocess
import sys
import urllib.error

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from sklearn.datasets import load_digits

from wmdd.data.loading import class_counts
from wmdd.data.sources import named
from wmdd.data.sources.opening import open_data
from wmdd.data.sources.table import list_forms
from wmdd.errors import DataError
from wmdd.settings import DataSettings

pytestmark = pytest.mark.filterwarnings("ignore:dtype\\(\\).*align")


@pytest.fixture(autouse=True)
def data_root(tmp_path, monkeypatch):
    monkeypatch.setenv("WMDD_DATA", str(tmp_path / "root"))
    monkeypatch.setattr(named, "DEBIAN_FASHION", tmp_path / "debian")
    return tmp_path / "root"


def test_digits():
    train, val = open_data("digits", DataSettings())
    assert (train.name, train.channels, train.canvas, train.image_size) == ("digits", 1, 8, 8)
    assert train.classes == tuple("0123456789")
    assert (len(train), len(val)) == (1438, 359)
    assert min(class_counts(val)) >= 34
    both = torch.cat([train.images.fetch(range(1438)), val.images.fetch(range(359))]).flatten(1)
    real = torch.from_numpy(np.rint(load_digits().images * 255 / 16)).flatten(1).to(torch.uint8)
    assert sorted(both.tolist()) == sorted(real.tolist())
    again, _ = open_data("Digits", DataSettings(holdout=0.4))  # always a fifth
    assert again.fingerprint == train.fingerprint
    assert open_data("digits", DataSettings(holdout_seed=1))[0].fingerprint != train.fingerprint


def test_every_name_is_described_and_known():
    assert set(named.NAMED.forms) == {"digits", *named.TORCHVISION}
    for entry in named.TORCHVISION.values():
        assert hasattr(torchvision.datasets, entry.cls)
    assert all("\n" not in text for text in list_forms().values())


def test_names_are_known_without_torch():
    slow = {"torch", "torchvision", "sklearn", "scipy", "PIL", "datasets"}
    code = f"import sys, wmdd.data.sources.table; sys.exit(bool({slow} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_data_root(monkeypatch, data_root):
    assert named.data_root() == data_root
    monkeypatch.delenv("WMDD_DATA")
    assert named.data_root().parts[-2:] == (".cache", "wmdd")


def cifar(root):
    """Write files as CIFAR-10's archive holds them."""
    folder = root / "cifar10/cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        data = rng.integers(0, 256, (10, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": list(range(10))}))
    labels = [f"class {number}" for number in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": labels}))


def test_colour_arrays(data_root, monkeypatch):
    cifar(data_root)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda _: True)
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_: True)
    train, val = open_data("CIFAR10", DataSettings())
    assert (len(train), len(val), train.canvas, train.channels) == (50, 10, 32, 3)
    assert train.classes[3] == "class 3"
    dataset = torchvision.datasets.CIFAR10(root=str(data_root / "cifar10"))
    pixels = np.asarray(dataset[7][0]).transpose(2, 0, 1)
    assert np.array_equal(train.images.fetch([7])[0].numpy(), pixels)


class Arrays:
    """Looks like torchvision's data sets of arrays."""

    def __init__(self, shape=(10, 3, 6, 6), **_):
        rng = np.random.default_rng(0)
        self.data = rng.integers(0, 256, shape, dtype=np.uint8)
        self.labels = np.arange(10) % 2


def test_arrays_with_channels_first_and_no_class_names(monkeypatch):
    monkeypatch.setattr(torchvision.datasets, "SVHN", Arrays)
    train, _ = open_data("svhn", DataSettings())
    assert train.classes == ("0", "1")
    assert np.array_equal(train.images.fetch([4])[0].numpy(), Arrays().data[4])


def test_emnist_is_turned_upright(monkeypatch):
    monkeypatch.setattr(torchvision.datasets, "EMNIST", lambda **_: Arrays((10, 6, 6)))
    train, _ = open_data("emnist", DataSettings())
    assert np.array_equal(train.images.fetch([4])[0, 0].numpy(), Arrays((10, 6, 6)).data[4].T)


def save(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), (value, 0, 0)).save(path)


def test_imagenette_from_files(data_root):
    for split in ("train", "val"):
        for wnid in ("n01440764", "n02102040"):
            save(data_root / "imagenette/imagenette2-320" / split / wnid / "a.JPEG", 200)
    train, val = open_data("imagenette", DataSettings())
    assert train.classes == ("tench", "English springer")
    assert (len(train), len(val), train.image_size) == (2, 2, 10)
    assert not train.broken


def test_food101_from_files(data_root):
    base = data_root / "food101/food-101"
    (base / "meta").mkdir(parents=True)
    for split in ("train", "test"):
        (base / f"meta/{split}.json").write_text(json.dumps({"pie": [f"pie/{split}"], "egg": [f"egg/{split}"]}))
        for name in ("pie", "egg"):
            save(base / "images" / name / f"{split}.jpg", 100)
    train, val = open_data("food101", DataSettings())
    assert train.classes == ("egg", "pie")
    assert (sorted(train.labels.tolist()), len(val)) == ([0, 1], 2)


def test_eurosat_is_split(data_root):
    for place, name in enumerate(("Forest", "River")):
        for number in range(5):
            save(data_root / "eurosat/eurosat/2750" / name / f"{number}.jpg", 40 * number + 20 * place)
    train, val = open_data("eurosat", DataSettings(holdout=0.4))
    assert class_counts(train) == (3, 3)
    assert class_counts(val) == (2, 2)


@pytest.mark.parametrize("error", [urllib.error.URLError("no network"), RuntimeError("no network\nanywhere")])
def test_a_failing_download_is_one_line(monkeypatch, error):
    calls = []

    def build(root, download, **options):
        calls.append(download)
        raise error if download else RuntimeError("Dataset not found")

    monkeypatch.setattr(torchvision.datasets, "CIFAR100", build)
    with pytest.raises(DataError, match="'cifar100' is missing and cannot be downloaded; got .*no network") as caught:
        open_data("cifar100", DataSettings())
    assert "\n" not in str(caught.value)
    assert calls == [False, True]


def write_idx(path, values):
    path.parent.mkdir(exist_ok=True)
    shape = b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(gzip.compress(bytes([0, 0, 8, values.ndim]) + shape + values.tobytes()))


def test_fashion_mnist_of_debian(tmp_path):
    folder = tmp_path / "debian"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    for prefix in ("train", "t10k"):
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", pixels)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", (np.arange(20) % 10).astype(np.uint8))
    train, val = open_data("fashion_mnist", DataSettings())
    assert (train.classes[0], train.channels, train.canvas) == ("T-shirt/top", 1, 28)
    assert len(val) == 20
    assert np.array_equal(train.images.fetch([3])[0, 0].numpy(), pixels[3])
    labels = folder / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(b"\0\0\x08"))
    with pytest.raises(DataError, match="is not a whole IDX file; got 3 bytes"):
        open_data("fashion-mnist", DataSettings())
    labels.write_bytes(b"no gzip")
    with pytest.raises(DataError, match="BadGzipFile"):
        open_data("fashion-mnist", DataSettings())
