"""Links: each file counts once, loops end, and validation images are not trained on."""

import os

import pytest

from picture_folders import kinds, opened, tree
from wmdd.data.loading import class_counts
from wmdd.errors import DataError


@pytest.fixture
def pets(tmp_path):
    return tree(tmp_path / "pets", {"train/cat": 4, "train/dog": 3, "val/cat": 2, "val/dog": 2})


LOOPS = {
    "to itself": ("train/cat/loop", "."),
    "to its parent": ("train/cat/loop", ".."),
    "to the root": ("train/cat/loop", "../.."),
    "to a class": ("train/cat/loop", "../dog"),
    "to a validation class": ("train/cat/loop", "../../val/cat"),
    "as a class": ("train/loop", "."),
    "as a class, to the root": ("train/loop", ".."),
    "in val": ("val/cat/loop", ".."),
    "as a class of val": ("val/loop", "."),
    "beside the splits": ("loop", "."),
    "above the root": ("train/dog/loop", "../../.."),
}


@pytest.mark.parametrize("case", LOOPS)
def test_links_to_folders_that_are_listed_anyway(pets, case):
    before = [images.fingerprint for images in opened(pets)]
    name, target = LOOPS[case]
    (pets / name).symlink_to(target)
    images, held = opened(pets)
    assert [images.fingerprint, held.fingerprint] == before
    assert kinds(images) == {"linked folders": 1}
    assert f"1 ({name})" in images.warnings[0].text


@pytest.mark.parametrize("target", [".", "..", "../b"])
def test_loops_in_class_folders_alone(tmp_path, target):
    root = tree(tmp_path / "pets", {"a": 4, "b": 4})
    (root / "a/loop").symlink_to(target)
    images, held = opened(root)
    assert (len(images) + len(held), kinds(images)) == (8, {"linked folders": 1})


def test_a_link_to_itself_and_a_dangling_one_are_no_folders(pets):
    (pets / "train/cat/loop").symlink_to("loop")
    (pets / "train/loop").symlink_to("loop")
    images, _ = opened(pets)
    assert (class_counts(images), kinds(images)) == ((4, 3), {"skipped files": 1})


def test_classes_and_subfolders_elsewhere(pets, tmp_path):
    tree(tmp_path / "store", {"bird": 3, "more/deep": 2}, first=10)
    (tmp_path / "store/more/loop").symlink_to("..")
    (tmp_path / "store/more/again").symlink_to("deep")
    (pets / "train/bird").symlink_to(tmp_path / "store/bird")
    (pets / "train/cat/more").symlink_to(tmp_path / "store/more")
    images, _ = opened(pets)
    assert images.classes == ("bird", "cat", "dog")
    assert class_counts(images)[::2] == (3, 3)
    assert kinds(images) == {"linked folders": 2}


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_file_counts_once_in_a_class(pets, link):
    link(pets / "train/cat/00.png", pets / "train/cat/99.png")
    images, _ = opened(pets)
    assert class_counts(images) == (4, 3)
    assert kinds(images) == {"repeated files": 1}
    assert "train/cat/99.png" in images.warnings[0].text


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_validation_images_are_not_trained_on(pets, link):
    before = [images.fingerprint for images in opened(pets)]
    link(pets / "val/dog/00.png", pets / "train/dog/99.png")
    images, held = opened(pets)
    assert [images.fingerprint, held.fingerprint] == before
    assert kinds(images) == {"held-out files": 1}
    assert "train/dog/99.png" in images.warnings[0].text


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_file_in_two_classes_is_told(pets, link):
    link(pets / "train/dog/00.png", pets / "train/cat/99.png")
    images, _ = opened(pets)
    assert (class_counts(images), kinds(images)) == ((5, 3), {"two labels": 1})


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [
        ("train/dog2", "dog", "have one content, by a link; got 'dog' and 'dog2'"),
        ("val2", "val", "several folders for val; got val, val2"),
    ],
)
def test_one_folder_under_two_names_is_refused(pets, name, target, words):
    (pets / name).symlink_to(target)
    with pytest.raises(DataError, match=words):
        opened(pets)


def test_val_that_is_a_link_to_train_is_refused(tmp_path):
    root = tree(tmp_path / "pets", {"train/cat": 4, "train/dog": 3})
    (root / "val").symlink_to("train")
    with pytest.raises(DataError, match="all training images of a class are validation images too.*train/cat"):
        opened(root)


def test_the_root_may_be_a_link(pets, tmp_path):
    (tmp_path / "link").symlink_to("pets")
    assert [images.fingerprint for images in opened(tmp_path / "link")] == [
        images.fingerprint for images in opened(pets)
    ]
    assert opened(tmp_path / "link")[0].name == "pets"


def test_pipes_and_other_irregular_files_are_skipped(pets):
    os.mkfifo(pets / "train/cat/pipe.png")
    images, _ = opened(pets)
    assert (len(images), kinds(images)) == (7, {"skipped files": 1})


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_must_not_be_read(pets):
    (pets / "train/cat/closed").mkdir(mode=0)
    with pytest.raises(DataError, match="cannot be read; got .*closed"):
        opened(pets)
