"""Images of more than 8 bits: which value becomes white."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from wmdd.data.sources.opening import open_data
from wmdd.settings import DataSettings

SIDE = 8


def noise(seed, largest, dtype, smallest=0):
    """Values with `smallest` and `largest` among them."""
    rng = np.random.default_rng(seed)
    values = (smallest + rng.random((SIDE, SIDE)) * (largest - smallest)).astype(dtype)
    values.flat[:2] = smallest, largest
    return values


def write(root, arrays, suffix, **options):
    for name, values in arrays.items():
        path = root / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path, **options)
    return root


def four(draw):
    """Two images in each of two classes and two splits."""
    names = [f"{split}/{label}/{number}" for split in ("train", "val") for label in "ab" for number in range(2)]
    return {name: draw(seed) for seed, name in enumerate(names)}


def opened(root, memory=1.0, **settings):
    return open_data(str(root), DataSettings(memory_gb=memory, **settings))


def all_pixels(image_set):
    return image_set.images.fetch(range(len(image_set))).numpy()


@pytest.mark.parametrize("memory", [1, 1e-9])
@pytest.mark.parametrize(
    ("suffix", "dtype", "largest", "white"),
    [
        (".png", np.uint16, 4095, 4095),
        (".png", np.uint16, 2100, 4095),
        (".png", np.uint16, 1000, 1023),
        (".png", np.uint16, 16383, 16383),
        (".png", np.uint16, 40000, 65535),
        (".png", np.uint16, 200, 255),
        (".tif", np.uint16, 4095, 4095),
        (".tif", np.int32, 255, 255),
        (".tif", np.int32, 65535, 65535),
        (".tif", np.int32, 1_000_000, 2**20 - 1),
        (".tif", np.float32, 1.0, 1),
        (".tif", np.float32, 1.02, 1),
        (".tif", np.float32, 255.0, 255),
        (".tif", np.float32, 60000.0, 65535),
    ],
)
def test_the_largest_value_of_the_set_decides(tmp_path, suffix, dtype, largest, white, memory):
    arrays = four(lambda seed: noise(seed, largest if seed == 1 else largest / 3, dtype))
    train, val = opened(write(tmp_path, arrays, suffix), memory)
    for image_set, split in ((train, "train"), (val, "val")):
        expected = [
            np.clip(np.rint(values * (255.0 / white)), 0, 255) for name, values in arrays.items() if split in name
        ]
        assert np.abs(all_pixels(image_set)[:, 0] - np.array(expected)).max() <= 1
    assert train.channels == 1
    told = [warning for warning in train.warnings if warning.kind == "pixel range"]
    if white == 65535 and dtype != np.float32:
        assert not told
    else:
        assert told[0].count == 8
        assert f"so {white} becomes white" in told[0].text
        assert "train/a/1" in told[0].text
        assert "convert them" in told[0].text


def test_one_factor_for_both_splits_wherever_the_largest_value_is(tmp_path):
    arrays = four(lambda seed: noise(seed, 4000 if seed == 7 else 300, np.uint16))
    train, val = opened(write(tmp_path, arrays, ".png"))
    assert all_pixels(train).max() == round(300 * 255 / 4095)
    assert all_pixels(val).max() == round(4000 * 255 / 4095)


def test_full_range_keeps_its_pixels_and_its_fingerprint(tmp_path):
    full, colour = tmp_path / "full", tmp_path / "colour"
    arrays = four(lambda seed: noise(seed, 65535, np.uint16))
    train, _ = opened(write(full, arrays, ".png"))
    expected = [(values.astype(int) + 128) // 257 for name, values in arrays.items() if "train" in name]
    assert np.array_equal(all_pixels(train)[:, 0], expected)
    # One file less than full changes pixels of all, hence the identity.
    smaller = {name: values // 16 for name, values in arrays.items()}
    again, _ = opened(write(colour, smaller, ".tif"))
    bits, _ = opened(write(colour, {name: values // 4 for name, values in smaller.items()}, ".tif"))
    assert len({train.fingerprint, again.fingerprint, bits.fingerprint}) == 3


@pytest.mark.parametrize("memory", [1, 1e-9])
def test_what_a_file_says_goes_before_its_values(tmp_path, memory):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[341] = 4095
    tags.tagtype[341] = 3
    write(tmp_path, four(lambda seed: noise(seed, 500, np.uint16)), ".tif", tiffinfo=tags)
    train, _ = opened(tmp_path, memory)
    assert all_pixels(train).max() == round(500 * 255 / 4095)
    assert "4095 becomes white" in train.warnings[0].text


def test_negative_values_are_told_and_numbers_that_are_none_are_broken(tmp_path):
    arrays = four(lambda seed: noise(seed, 1.0, np.float32, -1.0 if seed < 3 else 0.0))
    train, _ = opened(write(tmp_path, arrays, ".tif"))
    assert all_pixels(train).min() == 0
    assert "negative values, in 3 of them, become black" in train.warnings[0].text
    arrays["train/a/0"][0, 0] = np.nan
    train, _ = opened(write(tmp_path, arrays, ".tif"), max_broken=1)
    assert train.broken == ("train/a/0.tif",)
    assert {warning.kind for warning in train.warnings} == {"pixel range", "broken images"}


def png16(values):
    """Encode `(H, W, 3 or 4)` as PNG of 16 bits, which Pillow cannot write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("memory", [1, 1e-9])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("white", [4095, 65535])
def test_colours_of_sixteen_bits(tmp_path, white, channels, memory):
    arrays = four(lambda seed: np.stack([noise(4 * seed + c, white, np.uint16) for c in range(channels)], axis=2))
    for name, values in arrays.items():
        values[..., 3:] = 65535
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png16(values))
    train, _ = opened(tmp_path, memory)
    expected = np.array(
        [values[..., :3].transpose(2, 0, 1) * (255 / white) for name, values in arrays.items() if "tr" in name]
    )
    assert np.abs(all_pixels(train) - expected).max() <= (17 if white == 4095 else 1)
    assert all_pixels(train).max() == 255
    assert bool(train.warnings) is (white == 4095)
    assert white == 65535 or "only the upper 8 bits are read, here 16 levels" in train.warnings[0].text


def test_deep_images_among_others(tmp_path):
    write(tmp_path, four(lambda seed: noise(seed, 255, np.uint8)), ".png")
    write(tmp_path, {"train/a/deep": noise(9, 1023, np.uint16)}, ".png")
    (tmp_path / "train/a/bad.png").write_bytes(b"no image")
    train, val = opened(tmp_path, max_broken=1)
    lazy, _ = opened(tmp_path, 1e-9, max_broken=1)
    assert all_pixels(train)[2].max() == 255
    assert np.array_equal(all_pixels(train), all_pixels(lazy))
    assert lazy.fingerprint == train.fingerprint
    assert [warning.count for warning in train.warnings] == [1, 1]
    assert val.warnings == ()
