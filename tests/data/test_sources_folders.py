"""Folders of image files: layouts, order, broken images, identity."""

import shutil

import numpy as np
import pytest
import torch
from scipy.io import savemat

from picture_folders import opened, save, tree
from wmdd.data.loading import class_counts
from wmdd.data.sources.opening import open_data
from wmdd.errors import ConfigError, DataError
from wmdd.settings import DataSettings

LAZY = 1e-9


@pytest.fixture
def pets(tmp_path):
    return tree(tmp_path / "pets", {"train/cat": 3, "train/ant": 2, "val/cat": 1, "val/ant": 1})


@pytest.mark.parametrize("val", ["val", "valid", "validation", "test"])
def test_train_and_val_folders(tmp_path, val):
    root = tree(tmp_path / "pets", {"train/cat": 3, "train/ant": 2, f"{val}/cat": 1})
    train, held = opened(root)
    assert (train.name, train.split, held.split) == ("pets", "train", "val")
    assert train.classes == held.classes == ("ant", "cat")
    assert train.labels.tolist() == [0, 0, 1, 1, 1]
    assert held.labels.tolist() == [1]
    assert train.labels.dtype == torch.int64
    assert (train.channels, train.canvas, train.image_size) == (3, 8, 8)
    assert train.images.fetch(range(5))[:, 0, 0, 0].tolist() == [1, 21, 0, 20, 40]
    assert train.broken == ()


def test_val_is_preferred_to_test(tmp_path):
    root = tree(tmp_path, {"train/a": 1, "train/b": 1, "test/a": 1, "val/b": 1})
    assert opened(root)[1].labels.tolist() == [1]


@pytest.mark.parametrize("top", ["", "train/"])
def test_a_share_of_each_class_is_held_out(tmp_path, top):
    root = tree(tmp_path, {f"{top}a": 10, f"{top}b": 20, f"{top}c": 2})
    train, val = opened(root, holdout=0.2)
    assert class_counts(train) == (8, 16, 1)
    assert class_counts(val) == (2, 4, 1)
    assert (train.split, val.split) == ("train", "val")
    again = opened(root, holdout=0.2)
    assert (again[0].fingerprint, again[1].fingerprint) == (train.fingerprint, val.fingerprint)
    assert opened(root, holdout=0.2, holdout_seed=1)[1].fingerprint != val.fingerprint


def test_a_class_of_one_image_cannot_be_split(tmp_path):
    with pytest.raises(DataError, match="class 'b' of .* is too small to hold a share out"):
        opened(tree(tmp_path, {"a": 3, "b": 1}))


def test_lazy_images_equal_those_in_memory(pets):
    save(pets / "train/ant/wide.jpg", 77, size=(20, 9))
    train, val = opened(pets)
    lazy, lazy_val = opened(pets, memory_gb=LAZY)
    assert train.images.in_memory
    assert not lazy.images.in_memory
    assert len(lazy.images) == len(train.images) == len(train) == 6
    order = [5, 0, 3, 3, 1]
    assert torch.equal(lazy.images.fetch(order), train.images.fetch(order))
    assert (lazy.fingerprint, lazy_val.fingerprint) == (train.fingerprint, val.fingerprint)


def test_memory_goes_to_training_images_first(pets):
    train, val = opened(pets, memory_gb=5.5 * 3 * 64 / 1e9)
    assert train.images.in_memory
    assert not val.images.in_memory


def test_image_size_and_canvas(tmp_path):
    root = tree(tmp_path, {"a": 2, "b": 2})
    save(root / "a/00.png", size=(12, 10))
    train, _ = opened(root)
    assert (train.image_size, train.canvas) == (10, 10)
    train, _ = opened(root, image_size=140)
    assert (train.image_size, train.canvas) == (140, 160)
    assert train.images.fetch([0]).shape == (1, 3, 160, 160)


def test_grey_images_among_colour_ones_and_alone(tmp_path):
    root = tree(tmp_path / "mixed", {"a": 2, "b": 2})
    save(root / "a/00.png", 50, mode="L")
    train, _ = opened(root, holdout=0.5)
    assert train.channels == 3
    assert opened(root, channels=1)[0].images.fetch([0]).shape == (1, 1, 8, 8)
    for number, path in enumerate(root.rglob("*.png")):
        save(path, number, mode="L")
    grey, _ = opened(root)
    assert grey.channels == 1
    assert opened(root, channels=3)[0].channels == 3


def test_channels_must_be_one_or_three(pets):
    with pytest.raises(ConfigError, match="data.channels must be 1 or 3; got 2"):
        opened(pets, channels=2)


def test_hidden_and_other_files_are_passed_over(pets):
    (pets / "train/.cache").mkdir()
    (pets / "train/__MACOSX").mkdir()
    (pets / "train/notes.txt").write_text("x")
    (pets / "train/cat/._00.png").write_bytes(b"x")
    (pets / "train/cat/readme.txt").write_text("x")
    assert opened(pets)[0].classes == ("ant", "cat")
    assert len(opened(pets)[0]) == 5


def test_folders_within_class_folders(tmp_path):
    train, _ = opened(tree(tmp_path, {"a/x": 2, "a/y": 2, "b": 2}), holdout=0.5)
    assert class_counts(train) == (2, 1)


@pytest.mark.parametrize("memory", [1.0, LAZY])
def test_broken_images_stop_the_run_or_are_left_out(pets, memory):
    (pets / "train/cat/01.png").write_bytes(b"nothing")
    (pets / "val/cat/00.png").write_bytes((pets / "val/cat/00.png").read_bytes()[:40])
    save(pets / "val/cat/01.png")
    with pytest.raises(DataError, match="2 of 8 images of 'pets' cannot be read; got train/cat/01.png") as error:
        opened(pets, memory_gb=memory)
    assert "val/cat/00.png" in str(error.value)
    assert "--data.max_broken 2" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="2 of 8"):
        opened(pets, memory_gb=memory, max_broken=1)
    train, val = opened(pets, memory_gb=memory, max_broken=2)
    assert train.broken == ("train/cat/01.png",)
    assert val.broken == ("val/cat/00.png",)
    assert train.labels.tolist() == [0, 0, 1, 1]
    assert train.images.fetch(range(4))[:, 0, 0, 0].tolist() == [1, 21, 0, 40]
    (pets / "train/cat/01.png").unlink()
    (pets / "val/cat/00.png").unlink()
    assert opened(pets)[0].fingerprint == train.fingerprint


def test_at_most_five_broken_images_are_listed(pets):
    for number in range(7):
        (pets / f"train/cat/x{number}.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"x4.png \(.*\) and 2 more; repair"):
        opened(pets)


def test_a_class_whose_images_are_all_broken(pets):
    for path in (pets / "train/ant").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="class 'ant' of 'pets' has no images in train"):
        opened(pets, max_broken=9)


def test_validation_images_that_are_all_broken(pets):
    for path in (pets / "val").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="the val split of 'pets' is empty"):
        opened(pets, max_broken=9)


def test_dangling_link_is_a_broken_image(pets):
    (pets / "train/cat/link.png").symlink_to(pets / "nowhere.png")
    with pytest.raises(DataError, match="train/cat/link.png"):
        opened(pets)


def test_an_image_that_breaks_after_opening_is_named(pets):
    train, _ = opened(pets, memory_gb=LAZY)
    (pets / "train/cat/00.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot read an image of 'pets'; got train/cat/00.png") as error:
        train.images.fetch([0, 2])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("split", ["train", "val"])
def test_empty_class_folder(pets, split):
    shutil.rmtree(pets / split / "cat")
    (pets / split / "cat").mkdir()
    with pytest.raises(DataError, match="class folder 'cat' of .* has no images"):
        opened(pets)


def test_class_in_val_that_train_lacks(pets):
    save(pets / "val/dog/0.png")
    with pytest.raises(DataError, match="missing from the training images; got 'dog'"):
        opened(pets)


@pytest.mark.parametrize("folders", [["train"], ["train/a"], [], ["notes"]])
def test_folders_without_images_list_the_layouts(tmp_path, folders):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="no labelled images found; got folder .* Tiny-ImageNet .* Parquet"):
        opened(tmp_path)


def test_flat_images_without_classes(tmp_path):
    save(tmp_path / "a.png")
    with pytest.raises(DataError, match="no labelled images found"):
        opened(tmp_path)


def test_empty_val_folder(pets):
    shutil.rmtree(pets / "val")
    (pets / "val").mkdir()
    with pytest.raises(DataError, match="no labelled images found; got folder .*val"):
        opened(pets)


def test_a_single_class_is_refused(tmp_path):
    with pytest.raises(DataError, match="has a single class; got 'only'"):
        opened(tree(tmp_path, {"only": 4}))


def test_fingerprint_depends_on_content_not_on_place(pets, tmp_path):
    before = [split.fingerprint for split in opened(pets)]
    moved = shutil.copytree(pets, tmp_path / "elsewhere" / "beasts")
    assert [split.fingerprint for split in opened(moved)] == before
    changes = {
        "size": lambda: save(moved / "train/cat/00.png", 3, size=(30, 30)),
        "name": lambda: (moved / "train/cat/01.png").rename(moved / "train/cat/a1.png"),
        "class": lambda: (moved / "train/cat").rename(moved / "train/dog"),
    }
    shutil.rmtree(moved / "val")

    def identity(**settings):
        return tuple(split.fingerprint for split in opened(moved, holdout=0.5, **settings))

    seen = {identity()}
    for change in changes.values():
        change()
        seen.add(identity())
    seen.add(identity(image_size=6))
    seen.add(identity(channels=1))
    assert len(seen) == 6


def test_tiny_imagenet(tmp_path):
    root = tree(tmp_path / "tiny", {"train/n02/images": 2, "train/n01/images": 2}, suffix=".JPEG")
    tree(root, {"val/images": 3, "test/images": 2}, suffix=".JPEG")
    rows = [("00.JPEG", "n02"), ("01.JPEG", "n01"), ("02.JPEG", "n02")]
    text = "".join(f"{name}\t{wnid}\t0\t0\t9\t9\n" for name, wnid in rows)
    (root / "val/val_annotations.txt").write_text(text)
    train, val = opened(root)
    assert train.classes == ("n01", "n02")
    assert val.labels.tolist() == [1, 0, 1]
    (root / "val/val_annotations.txt").write_text(text.replace("02.JPEG", "09.JPEG"))
    with pytest.raises(DataError, match="no class in the list beside it; got '02'"):
        opened(root)
    (root / "val/val_annotations.txt").write_text("00.JPEG\n")
    with pytest.raises(DataError, match="a line of val_annotations.txt has no class"):
        opened(root)


def imagenet(root, inside=""):
    base = root / inside
    tree(base, {"train/n02": 1, "train/n01": 1}, suffix=".JPEG")
    for number in (1, 2, 3):
        save(base / f"val/ILSVRC2012_val_{number:08d}.JPEG", 9 * number)
    return root


@pytest.mark.parametrize("inside", ["", "ILSVRC/Data/CLS-LOC"])
def test_flat_imagenet_with_kaggles_list(tmp_path, inside):
    root = imagenet(tmp_path / "imagenet", inside)
    lines = [f"ILSVRC2012_val_{number:08d},{wnid} 1 2 3 4 {wnid} 5 6 7 8" for number, wnid in ((2, "n02"), (1, "n01"))]
    more = "ILSVRC2012_val_00000003,n02 1 2 3 4"
    (root / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *lines, more, ""]))
    train, val = opened(root)
    assert train.name == "imagenet"
    assert val.labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize("place", ["", "val", "ILSVRC2012_devkit_t12/data"])
def test_flat_imagenet_with_the_devkits_numbers(tmp_path, place):
    root = imagenet(tmp_path)
    (root / place).mkdir(parents=True, exist_ok=True)
    (root / place / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n1\n")
    with pytest.raises(DataError, match="meta.mat, which is missing"):
        opened(root)
    synsets = np.array(
        [(1, "n02", 0), (2, "n01", 0), (3, "n00", 2)],
        dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O")],
    )
    savemat(root / place / "meta.mat", {"synsets": synsets})
    assert opened(root)[1].labels.tolist() == [1, 0, 1]


def test_missing_places_and_unknown_names(tmp_path):
    for source in (str(tmp_path / "none"), "./none", "~/no/such/folder"):
        with pytest.raises(DataError, match="there is no such folder or file; got"):
            open_data(source, DataSettings())
    with pytest.raises(DataError, match="unknown data; got 'cifar-10', .*; did you mean 'cifar10'"):
        open_data("cifar-10", DataSettings())
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="a single file must be Parquet"):
        open_data(str(tmp_path / "a.txt"), DataSettings())
