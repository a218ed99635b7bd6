"""Development images: cut from the training images, the same in every run, and in place of the test images."""

import shutil
from collections import Counter
from pathlib import Path

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquet_files import write
from picture_folders import kinds, opened, save, tree
from wmdd.data.loading import class_counts
from wmdd.data.sources.opening import open_data
from wmdd.errors import DataError
from wmdd.settings import DataSettings
from wmdd.values import ImageSet

COUNTS = {"train/ant": 12, "train/cat": 9, "test/ant": 3, "test/cat": 2}


def pictures(*sets: ImageSet) -> Counter[bytes]:
    """Return how often each picture is in the sets, by class and pixels."""
    found = Counter[bytes]()
    for each in sets:
        pixels = each.images.fetch(range(len(each)))
        found.update(bytes([label]) + image.numpy().tobytes() for label, image in zip(each.labels, pixels, strict=True))
    return found


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return tree(tmp_path / "pets", COUNTS)


def as_parquet(folder: Path, to: Path) -> Path:
    """Write a folder of splits as Parquet files."""
    for split in ("train", "test"):
        files = sorted((folder / split).glob("*/*.png"))
        images = [{"bytes": file.read_bytes(), "path": None} for file in files]
        table = pa.table({"image": images, "label": [file.parent.name for file in files]})
        to.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, to / f"{split}.parquet", row_group_size=5)
    return to


@pytest.mark.parametrize("memory", [1, 1e-9])
@pytest.mark.parametrize("kind", ["folder", "parquet", "hub"])
def test_they_come_from_the_training_images_of_every_kind_of_source(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, memory: float
) -> None:
    source = str(pets if kind == "folder" else as_parquet(pets, tmp_path / "files"))
    if kind == "hub":
        monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, source=source, **__: source)
        source = "hf:me/pets"
    whole, test = open_data(source, DataSettings(memory_gb=memory))
    train, development = open_data(source, DataSettings(development=0.25, memory_gb=memory))
    assert (class_counts(train), class_counts(development)) == ((9, 7), (3, 2))
    assert pictures(train, development) == pictures(whole)
    assert not pictures(train) & pictures(development)
    assert not pictures(test) & pictures(train, development)
    assert (train.split, development.split, test.split) == ("train", "development", "val")
    assert (train.kind, development.kind, test.kind) == ("training", "development", "validation")
    assert [(each.held_out, each.development) for each in (train, test, development)] == [
        (None, None),
        (None, None),
        (None, 0.25),
    ]
    assert len({each.fingerprint for each in (whole, test, train, development)}) == 4


def test_where_data_have_no_test_it_is_held_out_first() -> None:
    whole, test = open_data("digits", DataSettings())
    train, development = open_data("digits", DataSettings(development=0.1))
    assert (len(whole), len(test)) == (1438, 359)
    assert class_counts(development) == tuple(round(count * 0.1) for count in class_counts(whole))
    assert pictures(train, development) == pictures(whole)
    assert not pictures(test) & pictures(train, development)
    assert (development.held_out, development.development) == (0.2, 0.1)


def test_they_are_the_same_wherever_the_files_are_and_whenever_they_were_written(pets: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "pets"
    for file in sorted(pets.rglob("*.png"), reverse=True):
        to = other / file.relative_to(pets)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)
    first, second = (opened(root, development=0.25) for root in (pets, other))
    assert [each.fingerprint for each in first] == [each.fingerprint for each in second]
    assert [pictures(each) for each in first] == [pictures(each) for each in second]


def test_the_seed_of_the_hold_out_draws_them_too(pets: Path) -> None:
    _, first = opened(pets, development=0.25)
    _, other = opened(pets, development=0.25, holdout_seed=1)
    assert pictures(first) != pictures(other)
    assert class_counts(first) == class_counts(other)


def test_a_larger_share_holds_a_smaller_one(pets: Path) -> None:
    few, many = (pictures(opened(pets, development=share)[1]) for share in (0.1, 0.5))
    assert few < many


@pytest.mark.parametrize(("share", "left"), [(0.001, (11, 8)), (0.999, (1, 1))])
def test_each_class_keeps_an_image_on_both_sides(pets: Path, share: float, left: tuple[int, ...]) -> None:
    train, development = opened(pets, development=share)
    assert class_counts(train) == left
    assert len(train) + len(development) == 21


def test_the_test_images_are_not_opened(pets: Path) -> None:
    for file in (pets / "test").rglob("*.png"):
        file.write_bytes(b"damaged")
    with pytest.raises(DataError, match="5 of 26 images of 'pets' cannot be read"):
        opened(pets)
    train, development = opened(pets, development=0.25)
    assert (len(train), len(development), train.warnings) == (16, 5, ())


def test_sides_of_images_are_those_of_the_run_without_them(tmp_path: Path) -> None:
    for number in range(6):  # the first training image decides, whether or not it is cut off
        for place, name in enumerate(("ant", "cat")):
            save(tmp_path / f"train/{name}/{number}.png", 9 * number + place, size=(8 + number, 8 + number))
    save(tmp_path / "test/ant/0.png", 200, size=(40, 40))
    cuts = [opened(tmp_path, development=0.5, holdout_seed=seed)[0] for seed in range(4)]
    assert len({each.fingerprint for each in cuts}) > 1
    assert {each.image_size for each in (opened(tmp_path)[0], *cuts)} == {8}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("own", [True, False])
def test_identical_pictures_stay_on_one_side(tmp_path: Path, own: bool, seed: int) -> None:
    top = "train/" if own else ""
    for number in range(12):
        save(tmp_path / f"{top}ant/{number:02d}.bmp", number // 3)
        save(tmp_path / f"{top}cat/{number:02d}.bmp", 100 + number)
    if own:
        save(tmp_path / "test/ant/0.bmp", 50)
    train, development = opened(tmp_path, development=0.3, holdout_seed=seed)
    assert not pictures(train) & pictures(development)
    assert class_counts(development)[0] == 3  # one picture and its copies


def test_a_picture_in_two_classes_is_told_and_on_one_side(tmp_path: Path) -> None:
    for number in range(10):
        save(tmp_path / f"train/ant/{number}.bmp", number)
        save(tmp_path / f"train/cat/{number}.bmp", 5 + number)
    save(tmp_path / "test/cat/0.bmp", 200)
    train, development = opened(tmp_path, development=0.2)
    assert kinds(train) == {"two labels": 5}
    bare = [{key[1:] for key in pictures(each)} for each in (train, development)]
    assert not bare[0] & bare[1]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (
            {"train/a": 3, "train/b": 1, "test/a": 1},
            "class 'b' of 'pets' is too small to cut development images off; got 1 training image; add images or "
            "leave data.development out",
        ),
        (
            {"a": 3, "b": 2},  # one of b is held out for the test
            "class 'b' of 'pets' is too small to cut development images off; got 1 training image; add images or "
            "leave data.development out",
        ),
    ],
)
def test_too_few_training_images_are_one_line(tmp_path: Path, counts: dict[str, int], message: str) -> None:
    root = tree(tmp_path / "pets", counts)
    opened(root)
    with pytest.raises(DataError) as caught:
        opened(root, development=0.1)
    assert str(caught.value) == message


def test_a_class_of_copies_is_one_line(tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", {"train/a": 3, "test/a": 1, "test/b": 1})
    for number in range(3):
        save(root / f"train/b/{number}.png", 77)
    with pytest.raises(DataError, match="all training images of class 'b' of 'pets' are identical.* got 3 copies of"):
        opened(root, development=0.1)


def test_unlabelled_rows_are_left_out_before_the_cut(tmp_path: Path) -> None:
    write(tmp_path / "pets/train.parquet", [0, 1, -1] * 8)
    write(tmp_path / "pets/test.parquet", [0, 1])
    train, development = opened(tmp_path / "pets", development=0.25)
    assert (class_counts(train), class_counts(development)) == ((6, 6), (2, 2))
