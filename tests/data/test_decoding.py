"""Any image onto a canvas: modes, orientation, transparency, geometry, damage."""

import io

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from wmdd.data.sources.decoding import (
    UNREADABLE,
    Canvas,
    canvas_side,
    check_all,
    check_whole,
    decode_into,
    open_image,
    sniff,
    threads_to_use,
    to_canvas,
)
from wmdd.data.sources.listing import ArrayStore, FileStore
from wmdd.errors import DataError

COLOUR = Canvas(channels=3, side=8)
GREY = Canvas(channels=1, side=8)


def encoded(image, **options):
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def picture(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(("size", "side"), [(8, 8), (32, 32), (127, 127), (128, 146), (224, 256), (299, 342)])
def test_canvas_leaves_room_for_crops_of_large_images_only(size, side):
    assert canvas_side(size) == side


@pytest.mark.parametrize("canvas", [COLOUR, GREY])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "I"])
def test_every_mode_of_a_uniform_picture(mode, canvas):
    source = Image.new("L", (20, 12), 255)
    image = source.convert("RGB").convert(mode) if mode not in {"I;16", "I"} else None
    if image is None:
        image = Image.fromarray(np.full((12, 20), 65535, dtype=np.uint16 if mode == "I;16" else np.int32))
    assert image.mode == mode
    pixels = to_canvas(image, canvas)
    assert pixels.shape == (canvas.channels, 8, 8)
    assert pixels.dtype == np.uint8
    assert (pixels >= 254).all()


def test_sixteen_bits_are_scaled_not_clipped():
    wide = np.array([[0, 257, 514, 65535], [25700, 25699, 128, 129]] * 2, dtype=np.uint16)
    expected = [[0, 1, 2, 255], [100, 100, 0, 1]] * 2
    for payload in (encoded(Image.fromarray(wide), format="PNG"), encoded(Image.fromarray(wide), format="TIFF")):
        with open_image(payload) as image:
            assert to_canvas(image, Canvas(channels=1, side=4))[0].tolist() == expected


def test_transparent_pixels_become_white():
    for mode, clear in (("RGBA", (9, 9, 9, 0)), ("LA", (9, 0))):
        assert (to_canvas(Image.new(mode, (8, 8), clear), COLOUR) == 255).all()
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    assert np.abs(to_canvas(half, COLOUR).astype(int) - 127).max() <= 1


def test_a_palette_with_transparent_entries_becomes_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((0, 0), 1)
    with open_image(encoded(image, format="PNG", transparency=b"\x00\xff")) as read:
        pixels = to_canvas(read, COLOUR)
    assert pixels[:, 0, 0].tolist() == [40, 50, 60]
    assert (pixels[:, 1:, 1:] == 255).all()


def test_colours_of_cmyk_jpeg():
    red = Image.new("RGB", (16, 16), (250, 10, 10)).convert("CMYK")
    with open_image(encoded(red, format="JPEG", quality=95)) as image:
        assert image.mode == "CMYK"
        assert to_canvas(image, COLOUR)[:, 4, 4] == pytest.approx([250, 10, 10], abs=8)


def test_orientation_of_exif_is_applied():
    image = Image.new("RGB", (16, 16))
    image.paste((255, 255, 255), (0, 0, 16, 8))  # upper half white
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    with open_image(encoded(image, format="PNG", exif=exif)) as read:
        pixels = to_canvas(read, COLOUR)
    assert pixels[:, 0].max() == 0
    assert pixels[:, 7].min() == 255


def test_damaged_exif_does_not_make_a_picture_unreadable():
    store = ArrayOfBytes([encoded(picture(8, 8), format="PNG", exif=b"Exif\0\0II*\0\x08\0\0\0\x09")])
    out = np.zeros((1, 3, 8, 8), dtype=np.uint8)
    assert decode_into(out, store, np.arange(1), COLOUR, threads=1) == []
    assert np.array_equal(out[0].transpose(1, 2, 0), np.asarray(picture(8, 8)))


class ArrayOfBytes:
    """The smallest store."""

    def __init__(self, payloads):
        self.kept = payloads

    def payloads(self, rows):
        for row in rows:
            yield self.kept[row]

    def row_name(self, row):
        return f"row {row}"


@pytest.mark.parametrize(("width", "height"), [(32, 32), (48, 32), (32, 64), (8, 12), (5, 4)])
def test_geometry_is_that_of_torchvision(width, height):
    image = picture(width, height)
    expected = v2.Compose([v2.Resize(8), v2.CenterCrop(8)])(image)
    found = to_canvas(image, COLOUR).transpose(1, 2, 0).astype(int)
    assert np.abs(found - np.asarray(expected)).max() <= 2


def test_pixels_of_the_right_size_are_left_alone():
    image = picture(8, 8)
    assert np.array_equal(to_canvas(image, COLOUR).transpose(1, 2, 0), np.asarray(image))


def test_large_jpeg_shrunk_while_decoding_looks_like_one_shrunk_after():
    smooth = picture(6, 6).resize((512, 384), Image.Resampling.BICUBIC)
    data = encoded(smooth, format="JPEG", quality=95)
    with open_image(data) as image:
        found = to_canvas(image, COLOUR).astype(int)
        assert image.size < smooth.size
    with open_image(data) as image:
        whole = to_canvas(Image.fromarray(np.asarray(image)), COLOUR)
    assert np.abs(found - whole).max() <= 4


def test_floating_point_pixels_from_zero_to_one():
    image = Image.fromarray(np.tile(np.linspace(0, 1, 8, dtype=np.float32), (8, 1)))
    assert to_canvas(image, GREY)[0, 0].tolist() == np.rint(np.linspace(0, 255, 8)).tolist()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (8, 8), (value, value, value)) for value in (200, 20, 90)]
    options = {"lossless": True} if kind == "WEBP" else {}
    with open_image(encoded(frames[0], format=kind, save_all=True, append_images=frames[1:], **options)) as image:
        assert getattr(image, "n_frames", 3) == 3
        assert (to_canvas(image, COLOUR) == 200).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_whole_and_cut_files(kind):
    data = encoded(picture(40, 40), format=kind)
    check_whole(data)
    for cut in (data[: len(data) // 2], data[:10], b""):
        with pytest.raises(UNREADABLE):
            check_whole(cut)


def test_a_jpeg_with_bytes_after_its_end_is_whole():
    check_whole(encoded(picture(40, 40), format="JPEG") + b"\0\0")


@pytest.mark.parametrize("threads", [1, 3])
def test_broken_images_are_named_by_position_and_the_rest_is_decoded(threads):
    good = encoded(picture(8, 8), format="PNG")
    store = ArrayOfBytes([good, b"not an image", None, good] * 20)
    out = np.zeros((80, 3, 8, 8), dtype=np.uint8)
    broken = decode_into(out, store, np.arange(80), COLOUR, threads=threads)
    assert [image.position for image in broken] == [i for i in range(80) if i % 4 in {1, 2}]
    assert broken[1].reason == "no image"
    assert np.array_equal(out[79].transpose(1, 2, 0), np.asarray(picture(8, 8)))
    assert [image.position for image in check_all(store, np.arange(80), threads=threads)] == [
        image.position for image in broken
    ]


def test_arrays_and_paths_decode_alike(tmp_path):
    image = picture(8, 8)
    image.save(tmp_path / "a.png")
    files = FileStore.of(tmp_path, [("a.png", 1)])
    arrays = ArrayStore(pixels=np.asarray(image)[None])
    for store in (files, arrays):
        out = np.zeros((1, 3, 8, 8), dtype=np.uint8)
        assert decode_into(out, store, np.arange(1), COLOUR, threads=1) == []
        assert np.array_equal(out[0].transpose(1, 2, 0), np.asarray(image))


def test_form_follows_the_images():
    grey = np.zeros((3, 20, 30), dtype=np.uint8)
    assert sniff(ArrayStore(pixels=grey), np.arange(3)) == (1, 20)
    assert sniff(ArrayStore(pixels=np.zeros((1, 300, 400, 3), dtype=np.uint8)), np.arange(1)) == (3, 224)
    mixed = ArrayOfBytes([b"", encoded(Image.new("L", (9, 9)), format="PNG"), encoded(picture(7, 7), format="PNG")])
    assert sniff(mixed, np.arange(3)) == (3, 9)
    with pytest.raises(DataError, match="no image of a sample of 1 can be read; got 'row 0'"):
        sniff(mixed, np.arange(1))


def test_threads_are_bounded():
    assert 1 <= threads_to_use() <= 16
