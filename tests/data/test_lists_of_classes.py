"""Lists of classes that are damaged or contradict themselves: one line each."""

import numpy as np
import pytest
from scipy.io import savemat

from picture_folders import kinds, opened, save, tree
from wmdd.errors import DataError

SOLUTION = "LOC_val_solution.csv"
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
ROW = "ILSVRC2012_val_00000001,n01 1 2 3 4\n"


@pytest.fixture
def imagenet(tmp_path):
    root = tree(tmp_path / "imagenet", {"train/n01": 2, "train/n02": 2}, suffix=".JPEG")
    save(root / "val/ILSVRC2012_val_00000001.JPEG")
    synsets = np.array(
        [(1, "n02", 0), (2, "n01", 0)], dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O")]
    )
    savemat(root / "meta.mat", {"synsets": synsets})
    return root


DAMAGED = {
    "no text": (SOLUTION, b"\xff\xfe\x80,\n", "a list of classes cannot be read"),
    "a long field": (SOLUTION, b"a," + b"x" * 200_000 + b"\n", "a list of classes cannot be read"),
    "no classes": (SOLUTION, b"ILSVRC2012_val_00000001, \n", "a line of LOC_val_solution.csv has no class"),
    "two classes": (
        SOLUTION,
        (ROW + ROW.replace("n01", "n02")).encode(),
        "gives two classes to .* got 'n01' and 'n02'",
    ),
    "unknown class": (SOLUTION, ROW.replace("n01", "n09").encode(), "missing from the training images; got 'n09'"),
    "words": (TRUTH, b"one\n", "a list of classes cannot be read"),
    "bytes": (TRUTH, b"\xff1\n", "a list of classes cannot be read"),
    "unknown number": (TRUTH, b"7\n", "has a class that meta.mat lacks; got 7"),
    "a damaged meta.mat": ("meta.mat", b"nothing at all", "a list of classes cannot be read; got .*meta.mat"),
    "an empty meta.mat": ("meta.mat", b"", "a list of classes cannot be read; got .*meta.mat"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_lists(imagenet, case):
    name, content, words = DAMAGED[case]
    if name == "meta.mat":
        (imagenet / TRUTH).write_text("2\n")
    (imagenet / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        opened(imagenet)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "content"), [(SOLUTION, ROW), (TRUTH, "2\n")])
def test_lists_with_a_byte_order_mark(imagenet, name, content):
    (imagenet / name).write_text(content, encoding="utf-8-sig")
    assert opened(imagenet)[1].labels.tolist() == [0]


@pytest.mark.parametrize(("name", "content"), [(SOLUTION, b"a\0,n01 1\n"), (TRUTH, b"")])
def test_a_list_without_any_of_the_images_is_none(imagenet, name, content):
    (imagenet / name).write_bytes(content)
    assert kinds(opened(imagenet)[0]) == {"images without class": 1}


def test_a_meta_file_of_something_else(imagenet):
    (imagenet / TRUTH).write_text("2\n")
    for content in ({"other": 1}, {"synsets": np.zeros(3)}, {"synsets": 1}):
        savemat(imagenet / "meta.mat", content)
        with pytest.raises(DataError, match="a list of classes cannot be read"):
            opened(imagenet)
