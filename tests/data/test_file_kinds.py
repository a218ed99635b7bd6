"""Which files count as images; what is left out is told; names in Unicode's two forms and in none."""

import os
import unicodedata

import pytest
from PIL import Image, features

from picture_folders import kinds, opened, save, tree
from wmdd.data.loading import class_counts
from wmdd.data.sources.kinds import is_image
from wmdd.errors import DataError


@pytest.fixture
def pets(tmp_path):
    return tree(tmp_path / "pets", {"train/cat": 3, "train/dog": 3, "val/cat": 1, "val/dog": 1})


@pytest.mark.parametrize(
    "suffix", [".jpe", ".jp2", ".tga", ".ico", ".pcx", ".qoi", ".sgi", ".dds", ".PNG", ".mpo", ".avif"]
)
def test_what_pillow_opens_is_opened(pets, suffix):
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = pets / f"train/cat/x{suffix}"
    Image.new("RGB", (16, 16)).save(path, format="JPEG" if suffix == ".mpo" else None)
    images, _ = opened(pets)
    assert (class_counts(images), images.warnings) == ((4, 3), ())


def test_every_ending_that_counts_belongs_to_a_format_that_is_read():
    known = Image.registered_extensions()
    usual = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
    assert all(is_image(f"x{ending}") for ending in usual)
    assert not any(
        is_image(f"x{ending}") for ending in (".pdf", ".eps", ".ps", ".wmf", ".emf", ".mpg", ".h5", ".mp4", "")
    )
    assert {known[ending] for ending in known if is_image(f"x{ending}")} <= {*Image.OPEN, "MPO"}


def test_files_that_look_like_pictures_are_counted(pets):
    for number in range(4):
        (pets / f"train/cat/x{number}.heic").write_bytes(b"x")
    for name in ("train/dog/film.mp4", "val/dog/picture", "train/dog/a.eps", "train/dog/b.zip"):
        (pets / name).write_bytes(b"x")
    images, held = opened(pets)
    assert (kinds(images), held.warnings) == ({"skipped files": 8}, ())
    text = images.warnings[0].text
    assert "4 .heic" in text
    assert ", ..." in text
    assert "(val/dog/picture, train/cat/x0.heic, train/cat/x1.heic and 5 more)" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "name", ["00.txt", "n01_boxes.txt", "a.CSV", "b.json", "c.xml", "Thumbs.db", "desktop.ini", "README", ".hidden"]
)
def test_lists_and_notes_are_passed_over(pets, name):
    (pets / "train/cat" / name).write_bytes(b"x")
    assert opened(pets)[0].warnings == ()


def test_a_class_folder_without_readable_images_says_what_it_has(tmp_path):
    root = tree(tmp_path / "pets", {"cat": 3})
    (root / "dog").mkdir()
    (root / "dog/0.heic").write_bytes(b"x")
    with pytest.raises(DataError, match="class folder 'dog' of .* has no images; got 1 other file"):
        opened(root)


def form(kind, name="caf\u00e9"):
    return unicodedata.normalize(kind, name)


@pytest.mark.parametrize(("train", "val"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_one_class_in_two_forms_of_unicode(tmp_path, train, val):
    root = tree(tmp_path / "pets", {f"train/{form(train)}": 3, "train/tea": 2, f"val/{form(val)}": 1, "val/tea": 1})
    images, held = opened(root)
    assert images.classes == held.classes == (form("NFC"), "tea")
    assert held.labels.tolist() == [0, 1]


def test_a_list_in_another_form_of_unicode(tmp_path):
    root = tree(tmp_path / "pets", {f"train/{form('NFC')}": 3, "train/tea": 2, "val/images": 1})
    (root / "val/val_annotations.txt").write_text(f"00.png\t{form('NFD')}\n", encoding="utf-8")
    assert opened(root)[1].labels.tolist() == [0]


@pytest.mark.parametrize("split", ["train", "val"])
def test_two_folders_of_one_name_are_refused(tmp_path, split):
    root = tree(tmp_path / "pets", {"train/tea": 3, f"train/{form('NFC')}": 2, "val/tea": 1})
    tree(root, {f"{split}/{form('NFC')}": 1, f"{split}/{form('NFD')}": 1})
    with pytest.raises(DataError, match=r"two forms of Unicode; got 'cafe\\u0301' and 'caf\\xe9'"):
        opened(root)


def test_a_class_that_is_missing_is_written_as_found(tmp_path):
    root = tree(tmp_path / "pets", {"train/tea": 3, "train/mate": 3, f"val/{form('NFD')}": 1, "val/tea": 1})
    with pytest.raises(DataError, match=f"missing from the training images; got '{form('NFD')}'"):
        opened(root)


def test_names_that_are_no_utf_8(pets):
    os.rename(pets / "train/cat/00.png", os.path.join(os.fsencode(pets), b"train/cat/caf\xe9.png"))
    with open(os.path.join(os.fsencode(pets), b"train/cat/\xe9.png"), "wb") as file:
        file.write(b"x")
    with open(os.path.join(os.fsencode(pets), b"train/cat/\xe9\n.heic"), "wb") as file:
        file.write(b"x")
    images, _ = opened(pets, max_broken=1)
    assert len(images) == 6
    assert images.broken == ("train/cat/\\udce9.png",)
    assert "train/cat/\\udce9\\n.heic" in images.warnings[0].text
    os.rename(pets / "train/cat", os.path.join(os.fsencode(pets), b"train/caf\xe9"))
    with pytest.raises(DataError, match=r"not UTF-8; got 'caf\\udce9'; rename it"):
        opened(pets)


def test_long_names_and_deep_folders(pets):
    save(pets / "train/cat" / "/".join(["x" * 50] * 20) / f"{'y' * 200}.png")
    assert class_counts(opened(pets)[0]) == (4, 3)
