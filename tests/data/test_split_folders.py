"""Which folders are splits, which are classes, and which are refused."""

import pytest

from picture_folders import kinds, opened, save, tree
from wmdd.data.loading import class_counts
from wmdd.errors import DataError


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("Training", "Testing"),
        ("Train", "Test"),
        ("TRAIN", "VAL"),
        ("training", "validation"),
        ("train", "testing"),
        ("train", "valid"),
        ("train", "dev"),
        ("train", "eval"),
        ("train", "Evaluation"),
        ("train2017", "val2017"),
        ("train_1", "test-0"),
        ("train_images", "test_images"),
        ("train", "test_images"),
        ("set-train", "set-test"),
    ],
)
def test_folders_named_by_a_split_word(tmp_path, train, val):
    root = tree(tmp_path, {f"{train}/a": 3, f"{train}/b": 2, f"{val}/a": 1, f"{val}/b": 2})
    images, held = opened(root)
    assert images.classes == ("a", "b")
    assert (class_counts(images), class_counts(held)) == ((3, 2), (1, 2))
    assert images.warnings == ()


def test_all_three_splits(tmp_path):
    counts = {"Train/a": 2, "Train/b": 2, "testing/a": 1, "Dev/b": 1, "testing/b": 1}
    assert opened(tree(tmp_path, counts))[1].labels.tolist() == [1]


REFUSED = {
    "a stranger": ({"train/a": 1, "train/b": 1, "val/a": 1, "extra/a": 1}, "its name is no split's; got extra; .*dev"),
    "flat stranger": ({"train/a": 1, "train/b": 1, "unlabeled": 1}, "its name is no split's; got unlabeled"),
    "classes beside": ({"a": 1, "b": 1, "test/a": 1, "test/b": 1}, "its name is no split's; got a, b"),
    "two for training": (
        {"train1/a": 1, "train1/b": 1, "train2/a": 1},
        "several folders for train; got train1, train2",
    ),
    "two cases": ({"train/a": 1, "train/b": 1, "Test/a": 1, "test/a": 1}, "several folders for test; got Test, test"),
    "masks": ({"train/a": 1, "train/b": 1, "train_masks/a": 1}, "several folders for train; got train, train_masks"),
    "none for training": ({"val/a": 1, "val/b": 1, "test/a": 1}, "no folder of .* is for training; got test, val"),
    "flat splits": ({"Training": 2, "Testing": 2}, "no labelled images found; got folder .*Training"),
    "flat images of splits": ({"train_images": 2, "test_images": 2}, "no labelled images found"),
    "folds": (
        {"fold_a/x": 1, "fold_a/y": 1, "fold_b/x": 1, "fold_b/y": 1},
        "same sub-folders.* got x, y in each of fold_a",
    ),
    "masks as classes": ({"images/x": 1, "images/y": 1, "masks/x": 1, "masks/y": 1}, "do not look like classes"),
    "domains": ({"art/x": 1, "art/y": 1, "art/z": 1, "real/x": 1, "real/y": 1}, "do not look like classes"),
    "folds for training": (
        {"train/f1/x": 1, "train/f1/y": 1, "train/f2/x": 1, "train/f2/y": 1, "val/x": 1},
        "do not look like classes; got x, y in each of f1, f2; .*training",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case):
    counts, words = REFUSED[case]
    with pytest.raises(DataError, match=words) as error:
        opened(tree(tmp_path, counts))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("counts", "classes"),
    [
        ({"train": 2, "bus": 2, "car": 2}, ("bus", "car", "train")),
        ({"valid": 2, "invalid": 2}, ("invalid", "valid")),
        ({"train/images": 2, "bus/images": 2}, ("bus", "train")),
        ({"Train/a": 2, "bus": 2}, ("Train", "bus")),
    ],
)
def test_a_class_may_be_called_like_a_split(tmp_path, counts, classes):
    images, _ = opened(tree(tmp_path, counts), holdout=0.5)
    assert images.classes == classes
    assert kinds(images) == {"classes named as splits": 1}
    assert "counts as a class" in images.warnings[0].text


@pytest.mark.parametrize(
    "counts",
    [
        {"test_tube": 2, "bullet train": 2, "cup": 2},
        {"a/images": 2, "b/images": 2},
        {"a/x": 1, "a/y": 1, "b/x": 1, "b/z": 1},
        {"a/x": 1, "a/y": 1, "b": 2},
    ],
)
def test_ordinary_classes(tmp_path, counts):
    images, _ = opened(tree(tmp_path, counts), holdout=0.5)
    assert images.classes == tuple(sorted({name.split("/")[0] for name in counts}))
    assert images.warnings == ()


def test_folders_without_images_beside_splits(tmp_path):
    root = tree(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 1})
    for name in ("ILSVRC2012_devkit_t12/data", "lists", "test", "train_lists", "validation"):
        (root / name).mkdir(parents=True)
    (root / "lists/all.txt").write_text("x")
    images, held = opened(root)
    assert (len(images), len(held), images.warnings) == (4, 1, ())


@pytest.mark.parametrize("folder", ["test", "val", "Testing", "test/images", "test/unknown", "test_images"])
def test_validation_images_without_classes_are_not_used(tmp_path, folder):
    root = tree(tmp_path, {"train/a": 4, "train/b": 4, folder: 3})
    images, held = opened(root, holdout=0.5)
    assert (class_counts(images), class_counts(held)) == ((2, 2), (2, 2))
    assert kinds(images) == {"images without class": 3}
    assert f"3 images in {folder.split('/')[0]} lie flat" in images.warnings[0].text
    assert "a share of the training images (data.holdout) is used instead" in images.warnings[0].text


def test_labelled_test_images_replace_unlabelled_validation_images(tmp_path):
    root = tree(tmp_path, {"train/a": 4, "train/b": 4, "val": 3, "test/b": 1})
    images, held = opened(root)
    assert (len(images), held.labels.tolist()) == (8, [1])
    assert kinds(images) == {"images without class": 3}


def test_a_list_of_another_folder_gives_no_classes(tmp_path):
    root = tree(tmp_path, {"train/n01": 4, "train/n02": 4, "test": 3})
    (root / "LOC_val_solution.csv").write_text("ImageId,PredictionString\nILSVRC2012_val_00000001,n01 1 2 3 4\n")
    assert kinds(opened(root)[0]) == {"images without class": 3}


def test_images_beside_class_folders_are_counted(tmp_path):
    root = tree(tmp_path, {"train/a": 4, "train/b": 4, "train": 2, "val/a": 1, "val/b": 1, "val": 1})
    save(root / "logo.png")
    images, held = opened(root)
    assert (len(images), len(held), kinds(images)) == (8, 2, {"images without class": 3})
    assert "(val/00.png, train/00.png, train/01.png)" in images.warnings[0].text
