"""Seeded damage to a folder of pictures: a right result, one line, or a warning; never a wrong result in silence.

Every picture has a grey value of its own, so the result tells which pictures are in which split and class.
"""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from mutations import damaged
from picture_folders import opened, save
from wmdd.errors import WmddError
from wmdd.values import ImageSet

CLASSES = ("ant", "caf\u00e9", "yak")
STEP = 6
Truth = dict[int, tuple[str, str]]
"""Grey value → split and class."""


def folders(root: Path) -> Truth:
    truth: Truth = {}
    for split, count in (("train", 6), ("val", 3)):
        for name in CLASSES:
            for number in range(count):
                value = STEP * len(truth)
                save(root / split / name / f"{number:02d}.png", value)
                truth[value] = (split, name)
    return truth


def check(truth: Truth, sets: tuple[ImageSet, ImageSet], excused: set[int]) -> None:
    """Assert that every picture is where it belongs, or that something was said; those `excused` may be anywhere."""
    train, held = ([*zip(values(images), labels(images), strict=True)] for images in sets)
    told = {warning.kind for warning in sets[0].warnings}
    assert all("\n" not in warning.text and warning.text.isprintable() for warning in sets[0].warnings)
    for value, name in (*train, *held):
        assert value in excused or truth[value][1] == name or told & {"two labels", "held-out files"}
    in_train, in_held = ({value for value, _ in part} for part in (train, held))
    assert not in_train & in_held - excused
    assert all(truth[value][0] == "train" for value in in_train - excused)
    assert "two labels" in told or len({*train}) == len(train)
    assert told or {*truth} - excused <= in_train | in_held


def values(images: ImageSet) -> list[int]:
    return images.images.fetch(range(len(images)))[:, 0, 0, 0].tolist()


def labels(images: ImageSet) -> list[str]:
    return [images.classes[label] for label in images.labels.tolist()]


def value_of(path: Path) -> int:
    """Return the value of one of our pictures before it is damaged."""
    split, name, file = path.parts[-3:]
    counts = {"train": (0, 6), "val": (18, 3)}
    start, count = counts[split]
    return STEP * (start + CLASSES.index(name) * count + int(file[:2]))


def spoil_name(root: Path, rng: random.Random) -> set[int]:
    """Rename a file, a class or a split; a class of its own is what its name says."""
    path = rng.choice([each for each in sorted(root.rglob("*")) if rng.random() < 0.3 or each.is_dir()])
    new = damaged(os.fsencode(path.name), rng.randrange(10**6)).replace(b"/", b"_").replace(b"\0", b"\n").lstrip(b".")
    inside = {value_of(each) for each in ([path] if path.is_file() else path.rglob("*.png"))}
    target = os.path.join(os.fsencode(path.parent), new or b"x")
    if not os.path.exists(target):
        os.rename(path, target)
    return inside if path.parent != root else set()


def respell(root: Path, rng: random.Random) -> set[int]:
    """Write a split's name in another way that means the same."""
    split = rng.choice(("train", "val"))
    names = {"train": ("Train", "TRAINING", "train-1"), "val": ("Validation", "dev", "VALID2", "Testing", "eval")}
    (root / split).rename(root / rng.choice(names[split]))
    return set()


def link(root: Path, rng: random.Random) -> set[int]:
    places = sorted(root.rglob("*"))
    target, place = rng.choice([root, *places]), rng.choice([root, *(path for path in places if path.is_dir())])
    if target.is_file() and rng.random() < 0.5:
        os.link(target, place / "linked.png")
    else:
        (place / rng.choice(("linked", "linked.png", "test"))).symlink_to(target)
    return set()


def move(root: Path, rng: random.Random) -> set[int]:
    """Lose or misplace a file or a folder."""
    places = sorted(root.rglob("*"))
    path = rng.choice(places)
    inside = {value_of(each) for each in ([path] if path.is_file() else path.rglob("*.png"))}
    action = rng.randrange(4)
    if action == 0:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif action == 1:
        elsewhere = rng.choice(
            [root, *(each for each in places if each.is_dir() and path not in {each, *each.parents})]
        )
        path.rename(elsewhere / "moved.png")
    elif action == 2:
        path.rename(root.parent / "gone")
        path.write_bytes(b"x") if (root.parent / "gone").is_dir() else path.mkdir()
    else:
        (rng.choice([each for each in places if each.is_dir()]) / rng.choice(("empty", "test"))).mkdir()
        inside = set()
    return inside


KINDS: tuple[Callable[[Path, random.Random], set[int]], ...] = (spoil_name, respell, link, link, move)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_damaged_folders(tmp_path: Path, seed: int) -> None:
    truth = folders(tmp_path / "data")
    rng = random.Random(seed)
    excused = KINDS[seed % len(KINDS)](tmp_path / "data", rng)
    sets = outcome(tmp_path / "data")
    if sets:
        check(truth, sets, excused)


def outcome(root: Path) -> tuple[ImageSet, ImageSet] | None:
    """Open a folder; None if that is refused in one line."""
    message = ""
    try:
        return opened(root)
    except WmddError as error:
        message = str(error)
    assert message.isprintable()
    assert len(message) < 1500
    return None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_damaged_pictures(tmp_path: Path, seed: int) -> None:
    """Only the damaged picture may differ: its name is told if it cannot be read."""
    root, rng = tmp_path / "data", random.Random(seed)
    folders(root)
    before = opened(root)
    path = rng.choice(sorted(root.rglob("*.png")))
    path.write_bytes(damaged(path.read_bytes(), seed))
    sets = outcome(root)
    if not sets:
        sets = opened(root, max_broken=1)
        assert [*sets[0].broken, *sets[1].broken] == [path.relative_to(root).as_posix()]
        return
    for old, new in zip(before, sets, strict=True):
        assert (new.classes, labels(new)) == (old.classes, labels(old))
        differ = [place for place, pair in enumerate(zip(values(old), values(new), strict=True)) if len({*pair}) > 1]
        assert [values(old)[place] for place in differ] in ([], [value_of(path)])


LISTS = ("val/val_annotations.txt", "LOC_val_solution.csv", "ILSVRC2012_validation_ground_truth.txt", "meta.mat")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_damaged_lists(tmp_path: Path, seed: int) -> None:
    """A list may say another class than before: there is no checksum. What it does not say must not be made up."""
    root = tmp_path / "imagenet"
    names = [f"ILSVRC2012_val_{number:08d}" for number in range(1, 7)]
    for number in range(12):
        save(root / f"train/n{number % 3}/{number}.png", STEP * number)
    for number, name in enumerate(names):
        save(root / f"val/{name}.png", 100 + STEP * number)
    chosen = LISTS[seed % len(LISTS)]
    rows = [(name, f"n{number % 3}") for number, name in enumerate(names)]
    texts = {
        LISTS[0]: "".join(f"{name}.png\t{wnid}\t0\t0\t9\t9\n" for name, wnid in rows),
        LISTS[1]: "ImageId,PredictionString\n" + "".join(f"{name},{wnid} 1 2 3 4\n" for name, wnid in rows),
        LISTS[2]: "".join(f"{int(wnid[1]) + 1}\n" for _, wnid in rows),
    }
    if chosen in LISTS[2:]:
        kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O")]
        savemat(root / "meta.mat", {"synsets": np.array([(each + 1, f"n{each}", 0) for each in range(3)], dtype=kinds)})
        (root / LISTS[2]).write_text(texts[LISTS[2]])
    else:
        (root / chosen).write_text(texts[chosen])
    path = root / chosen
    path.write_bytes(damaged(path.read_bytes(), seed))
    sets = outcome(root)
    if sets:
        train, held = sets
        assert train.classes == held.classes == ("n0", "n1", "n2")
        assert {*values(train)} <= {STEP * number for number in range(12)}
        assert train.warnings or {*values(held)} == {100 + STEP * number for number in range(6)}
