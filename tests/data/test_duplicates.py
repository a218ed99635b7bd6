"""Identical pictures: hold-outs keep them together; those in two splits or two classes are told."""

import io
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from wmdd.data.loading import class_counts
from wmdd.data.sources.duplicates import group_identical
from wmdd.data.sources.holdout import hold_out
from wmdd.data.sources.listing import ArrayStore, FileStore, Listing
from wmdd.data.sources.opening import open_data
from wmdd.errors import DataError
from wmdd.settings import DataSettings


def picture(seed, side=8):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def write(path, seed, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed).save(path, **options)


def opened(root, **settings):
    return open_data(str(root), DataSettings(**settings))


def pixels(image_set, label=None):
    positions = range(len(image_set)) if label is None else image_set.of_class(label).tolist()
    return {image.numpy().tobytes() for image in image_set.images.fetch(list(positions))}


def listing_of(groups, labels=None):
    values = np.asarray(groups, dtype=np.uint8)
    store = ArrayStore(pixels=np.broadcast_to(values[:, None, None], (len(values), 4, 4)).copy())
    labels = np.zeros(len(values)) if labels is None else labels
    classes = tuple(f"class {label}" for label in range(int(np.max(labels)) + 1))
    return Listing.of(store, labels, name="drawn", split="train", classes=classes)


def folder(root, seeds):
    """Write a picture of each seed, by class; equal seeds are equal files."""
    for name, numbers in seeds.items():
        for number, seed in enumerate(numbers):
            write(root / name / f"{number:02d}.bmp", seed)  # files of one size
    return root


def parquet(root, seeds):
    """The same as one Parquet file."""
    rows = [(label, seed) for label, numbers in enumerate(seeds.values()) for seed in numbers]
    images = []
    for _, seed in rows:
        file = io.BytesIO()
        picture(seed).save(file, format="PNG")
        images.append({"bytes": file.getvalue(), "path": None})
    path = root.with_suffix(".parquet")
    pq.write_table(pa.table({"image": images, "label": [label for label, _ in rows]}), path, row_group_size=7)
    return path


@pytest.mark.parametrize("write_set", [folder, parquet])
@pytest.mark.parametrize("memory", [1, 1e-9])
@pytest.mark.parametrize("seed", range(4))
def test_a_hold_out_never_separates_identical_pictures(tmp_path, write_set, memory, seed):
    copies = {"cat": [*range(10)] * 3, "dog": [*range(100, 130)], "owl": [200, 201, 201, 201]}
    train, val = opened(write_set(tmp_path / "pets", copies), holdout=0.2, holdout_seed=seed, memory_gb=memory)
    assert not pixels(train) & pixels(val)
    assert class_counts(train) == (24, 24, 3)
    assert class_counts(val) == (6, 6, 1)
    assert train.warnings == val.warnings == ()
    assert (train.held_out, val.held_out) == (None, 0.2)


@pytest.mark.parametrize("size", [2, 3, 10, 97])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
def test_without_duplicates_the_draw_is_a_plain_one(size, share):
    train = listing_of(range(size))
    held = hold_out(train, group_identical(train)[0], share, 0)
    assert held.sum() == min(max(1, round(size * share)), size - 1)
    # Duplicates in another class change nothing.
    both = listing_of([*range(size), 200, 200, 201], [0] * size + [1] * 3)
    again = hold_out(both, group_identical(both)[0], share, 0)
    assert again[:size].tolist() == held.tolist()


@pytest.mark.parametrize(
    ("groups", "share", "held"),
    [
        ([0, 0, 0, 0, 1], 0.5, {1}),  # the large group does not fit
        ([0, 0, 0, 1, 1], 0.1, {2}),  # none fits: the smallest
        ([0, 0, 1, 1, 2, 2, 3, 3], 0.5, {4}),
        ([0] * 9 + [1] * 9, 0.9, {9}),
    ],
)
def test_sizes_of_hold_outs_with_large_groups(groups, share, held):
    for seed in range(5):
        assert {int(hold_out(listing_of(groups), np.array(groups), share, seed).sum())} == held


def test_a_class_of_copies_cannot_be_split(tmp_path):
    root = folder(tmp_path / "pets", {"cat": [1, 2], "dog": [3, 3, 3]})
    with pytest.raises(DataError, match="all images of class 'dog' of 'pets' are identical.*got 3 copies of dog/00"):
        opened(root)


@pytest.mark.parametrize("memory", [1, 1e-9])
@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_duplicates_of_given_splits_are_told(tmp_path, kind, memory):
    root = tmp_path / "pets"
    train_seeds, val_seeds = {"cat": [0, 1, 2, 3, 4], "dog": [10, 11, 12]}, {"cat": [3, 4, 99], "dog": [98, 12, 97]}
    if kind == "folder":
        folder(root / "train", train_seeds)
        folder(root / "val", val_seeds)
        named = "val/cat/00.bmp = train/cat/03.bmp, val/cat/01.bmp = train/cat/04.bmp, val/dog/01.bmp"
    else:
        root.mkdir()
        parquet(root / "train-0", train_seeds)
        parquet(root / "test-0", val_seeds)
        named = "test-0.parquet row 0 = train-0.parquet row 3"
    train, _ = opened(root, memory_gb=memory)
    (warning,) = train.warnings
    assert (warning.kind, warning.count) == ("duplicates", 3)
    assert "3 of 6 validation images of 'pets' are training images too" in warning.text
    assert named in warning.text
    assert "remove them" in warning.text
    assert "\n" not in warning.text


@pytest.mark.parametrize("given", [True, False])
def test_pictures_in_two_classes_are_told(tmp_path, given):
    seeds = {"cat": [0, 1, 2, 2, 3], "dog": [10, 2, 12, 3]}
    root = folder(tmp_path / "pets/train", seeds).parent
    if given:
        folder(root / "val", {"cat": [50], "dog": [51]})
    train, _ = opened(root)
    (warning,) = train.warnings
    assert (warning.kind, warning.count) == ("two labels", 2)
    assert "2 pictures of 'pets' are in more than one class" in warning.text
    assert "train/cat/02.bmp (cat) = train/dog/01.bmp (dog)" in warning.text


@pytest.mark.parametrize("seed", range(8))
def test_a_picture_in_two_classes_is_held_out_of_both_or_of_none(seed):
    labels = np.repeat([0, 1], 10)
    groups = np.array([*range(10), *range(5, 15)])
    store = ArrayStore(pixels=np.zeros((20, 1, 1), dtype=np.uint8))
    listing = Listing.of(store, labels, name="it", split="train", classes=("a", "b"))
    held = hold_out(listing, groups, 0.2, seed)
    assert held.any()
    assert not {*groups[~held]} & {*groups[held]}


def test_a_class_whose_pictures_are_all_in_others_cannot_be_split():
    store = ArrayStore(pixels=np.zeros((4, 1, 1), dtype=np.uint8))
    listing = Listing.of(store, [0, 0, 1, 1], name="it", split="train", classes=("a", "b"))
    with pytest.raises(DataError, match="shares its images with other classes"):
        hold_out(listing, np.array([0, 1, 0, 1]), 0.5, seed=1)  # another picture is drawn from each class


def test_many_duplicates_are_counted_and_the_first_are_named(tmp_path):
    folder(tmp_path / "train", {"cat": range(10), "dog": range(20, 30)})
    folder(tmp_path / "val", {"cat": range(10), "dog": range(20, 30)})
    (warning,) = opened(tmp_path)[0].warnings
    assert warning.count == 20
    assert "and 17 more; remove" in warning.text


def test_what_counts_as_identical(tmp_path):
    big = np.zeros(20_000, dtype=np.uint8)
    files = {"a": big, "b": big, "c": big.copy(), "d": big.copy(), "e": big[1:], "f": big[:0], "g": big[:0], "h": big}
    files["c"][0] = 1  # outside the middle, which is read first
    files["d"][10_000] = 1
    for name, data in files.items():
        (tmp_path / name).write_bytes(data.tobytes())
    store = FileStore.of(tmp_path, [(name, len(data)) for name, data in files.items()])
    (tmp_path / "h").unlink()
    listing = Listing.of(store, np.zeros(8), name="files", split="train", classes=("one",))
    groups = group_identical(listing)[0].tolist()
    assert groups[0] == groups[1]
    assert len(set(groups)) == 7


def test_arrays_are_compared_as_a_whole():
    arrays = np.zeros((5, 40, 40, 3), dtype=np.uint8)
    arrays[1, 0, 1, 0] = 1  # not among the sampled pixels
    arrays[2, 20, 20] = 9
    first = Listing.of(ArrayStore(pixels=arrays), np.zeros(5), name="a", split="train", classes=("one",))
    second = Listing.of(ArrayStore(pixels=arrays[2:3]), np.zeros(1), name="a", split="val", classes=("one",))
    groups, others = group_identical(first.take([4, 3, 2, 1, 0]), second)
    assert groups[0] == groups[1] == groups[4]
    assert len(set(groups.tolist())) == 3
    assert others[0] == groups[2]


def test_clean_sets_have_no_warning_and_copies_elsewhere_no_other_identity(tmp_path):
    root = folder(tmp_path / "here/pets", {"cat": range(9), "dog": range(20, 29)})
    moved = tmp_path / "there/pets"
    shutil.copytree(root, moved)
    (train, val), (again, other) = opened(root), opened(moved)
    assert (train.fingerprint, val.fingerprint) == (again.fingerprint, other.fingerprint)
    assert train.warnings == ()


def test_digits_are_clean():
    train, val = opened("digits")
    assert train.warnings == ()
    assert val.held_out == 0.2
