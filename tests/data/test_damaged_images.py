"""Damaged and odd image files: the set opens, or one line says why not; other images are never touched by it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mutations import damaged
from wmdd.data.sources.opening import open_data
from wmdd.errors import DataError
from wmdd.settings import DataSettings

SIDE = 12
MEMORY = (1, 1e-9)


def picture(seed=0, mode="RGB"):
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image, **options):
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def wide(dtype):
    return Image.fromarray(np.random.default_rng(1).integers(0, 65536, (SIDE, SIDE)).astype(dtype))


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


FRAMES = [picture(seed) for seed in range(3)]
ANIMATED = {"save_all": True, "append_images": FRAMES[1:]}
KINDS = {
    "png": encoded(picture(), format="PNG"),
    "png palette": encoded(picture(mode="P"), format="PNG", transparency=3),
    "png 16": encoded(wide(np.uint16), format="PNG", transparency=300),
    "apng": encoded(FRAMES[0], format="PNG", **ANIMATED),
    "jpeg": encoded(picture(), format="JPEG", exif=turned()),
    "jpeg cmyk": encoded(picture(mode="CMYK"), format="JPEG", progressive=True),
    "gif": encoded(FRAMES[0], format="GIF", transparency=0, **ANIMATED),
    "bmp": encoded(picture(mode="P"), format="BMP"),
    "webp": encoded(FRAMES[0], format="WEBP", **ANIMATED),
    "tiff": encoded(picture(), format="TIFF", exif=turned()),
    "tiff packed": encoded(picture(mode="CMYK"), format="TIFF", compression="tiff_lzw"),
    "tiff 32": encoded(wide(np.int32), format="TIFF"),
    "tiff float": encoded(wide(np.float32), format="TIFF"),
    "ppm": encoded(picture(), format="PPM"),
    "pgm 12": b"P5 12 12 4095\n" + (np.asarray(wide(np.uint16)) % 4096).astype(">u2").tobytes(),
}
CHECKED = ("png", "png palette")
"""Kinds whose every byte that decides a pixel is under a checksum."""


def folder(root, data):
    """Two classes in each split; `data` is the second training image."""
    for seed, name in enumerate(("train/a/0", "train/a/2", "train/b/0", "train/b/1", "val/a/0", "val/b/0")):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed + 10).save(path)
    (root / "train/a/1.png").write_bytes(data)
    return str(root)


def opened(source, memory, broken=0):
    return open_data(source, DataSettings(memory_gb=memory, max_broken=broken, channels=3))


def pixels(image_set):
    return image_set.images.fetch(range(len(image_set))).numpy()


def assert_one_line(error):
    assert "\n" not in str(error)
    assert "train/a/1.png" in str(error)
    assert " at 0x" not in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("kind", KINDS)
def test_mutations_are_read_or_named(tmp_path, kind, memory):
    whole = pixels(opened(folder(tmp_path / "whole", KINDS[kind]), memory)[0])
    others = [0, 2, 3, 4]
    for seed in range(60):
        root = folder(tmp_path / "pets", damaged(KINDS[kind], seed))
        try:
            found = pixels(opened(root, memory)[0])
        except DataError as error:
            assert_one_line(error)
            if "max_broken" not in str(error):
                continue  # lazily read, and found broken when fetched
            train, _ = opened(root, memory, broken=1)
            assert [warning.kind for warning in train.warnings if warning.kind != "pixel range"] == ["broken images"]
            assert np.array_equal(pixels(train), whole[others])
        else:
            assert np.array_equal(found[others], whole[others])
            # Kinds without checksums, or with some that Pillow does not verify, may show other pixels in silence.
            assert kind not in CHECKED or np.array_equal(found, whole)


def header(width, height):
    """A PNG that breaks off after its header."""
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + data + struct.pack(">I", zlib.crc32(data))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\x09IDATx"


ABSURD = {
    "empty": (b"", "not an image"),
    "start only": (b"\x89PNG", "not an image"),
    "other kind": (b"<svg></svg>", "not an image"),
    "bomb": (header(60000, 60000), "decompression bomb"),
    "largest": (header(2**31 - 1, 2**31 - 1), "decompression bomb"),
    "no width": (header(0, 5), ""),
    "no pixels": (header(8, 8), "truncated"),
    "no size": (b"P6 0 0 255\n", ""),
    "large and empty": (b"P6 99999 99999 255\n", ""),
    "large gif": (b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(30), ""),
    "zeros": (b"BM" + bytes(60), ""),
    "cut jpeg": (KINDS["jpeg"][:-20], "truncated"),
    "cut webp": (KINDS["webp"][:-20], ""),
}


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize(("data", "reason"), ABSURD.values(), ids=ABSURD)
def test_absurd_files_are_named_with_the_reason(tmp_path, data, reason, memory):
    root = folder(tmp_path / "pets", data)
    with pytest.raises(DataError, match="1 of 7 images of 'pets' cannot be read; got train/a/1.png") as caught:
        opened(root, memory)
    assert_one_line(caught.value)
    assert reason in str(caught.value)
    train, val = opened(root, memory, broken=1)
    (warning,) = train.warnings
    assert (warning.kind, warning.count, val.warnings) == ("broken images", 1, ())
    assert "1 image of 'pets' cannot be read and is left out; got train/a/1.png (" in warning.text
    assert warning.text.endswith("repair or remove them")
    assert warning == opened(root, memory, broken=3)[0].warnings[0]


MODES = {
    "PNG": "1 L LA P RGB RGBA I;16",
    "TIFF": "1 L LA P PA RGB RGBA RGBX CMYK YCbCr LAB I;16 I F",
    "GIF": "1 L LA P RGB RGBA",
    "WEBP": "L LA P RGB RGBA RGBX",
    "BMP": "1 L P RGB RGBA",
    "JPEG": "1 L RGB RGBX CMYK YCbCr",
}
WIDE = {"I;16": np.uint16, "I": np.int32, "F": np.float32}


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("kind", MODES)
def test_odd_modes_are_read_or_named(tmp_path, kind, memory):
    for mode in MODES[kind].split():
        if mode in WIDE:
            image = wide(WIDE[mode])
        elif mode == "LAB":
            image = Image.frombytes("LAB", (SIDE, SIDE), bytes(3 * SIDE**2))
        else:
            image = picture(mode="RGBA" if mode == "PA" else "RGB").convert(mode)
        root = folder(tmp_path / mode, encoded(image, format=kind))
        if mode == "LAB":
            with pytest.raises(DataError, match=r"train/a/1.png \(LAB colours cannot be converted to RGB"):
                opened(root, memory)
        else:
            assert pixels(opened(root, memory)[0]).shape == (5, 3, SIDE, SIDE)


def test_a_broken_first_image_does_not_decide_the_size(tmp_path):
    root = folder(tmp_path / "pets", KINDS["png"])
    (tmp_path / "pets/train/a/0.png").write_bytes(header(5, 5))
    assert opened(root, 1, broken=1)[0].image_size == SIDE
