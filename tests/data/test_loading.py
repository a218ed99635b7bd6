"""Orders, batches, normalisation and counts."""

import numpy as np
import pytest
import torch
from PIL import Image

from wmdd.data.loading import (
    centre_crop,
    channel_moments,
    class_counts,
    fetch_batches,
    in_order,
    require_images,
    shuffled,
    to_float,
)
from wmdd.data.sources.opening import open_data
from wmdd.data.sources.pixels import DecodedImages
from wmdd.errors import DataError
from wmdd.settings import DataSettings
from wmdd.values import ImageSet


def image_set(pixels, labels=None, classes=("a", "b")):
    return ImageSet(
        name="toy",
        split="train",
        classes=classes,
        labels=torch.zeros(len(pixels), dtype=torch.int64) if labels is None else torch.tensor(labels),
        images=DecodedImages(pixels),
        channels=pixels.shape[1],
        canvas=pixels.shape[2],
        image_size=pixels.shape[2],
        fingerprint="",
    )


@pytest.fixture
def toy():
    return image_set(torch.randint(0, 256, (23, 3, 4, 4), dtype=torch.uint8))


def test_orders():
    assert torch.equal(torch.cat(in_order(7, 3)), torch.arange(7))
    assert [len(batch) for batch in in_order(7, 3)] == [3, 3, 1]
    first = shuffled(100, 30, torch.Generator().manual_seed(3))
    again = shuffled(100, 30, torch.Generator().manual_seed(3))
    assert torch.equal(torch.cat(first), torch.cat(again))
    assert sorted(torch.cat(first).tolist()) == list(range(100))
    assert [len(batch) for batch in shuffled(7, 3, torch.Generator(), drop_last=True)] == [3, 3]
    assert [len(batch) for batch in shuffled(6, 3, torch.Generator(), drop_last=True)] == [3, 3]


def test_batches_from_memory(toy):
    order = [[5, 1], torch.tensor([0, 22, 3])]
    found = list(fetch_batches(toy, order, workers=2, device=torch.device("cpu")))
    assert [indices.tolist() for indices, _ in found] == [[5, 1], [0, 22, 3]]
    assert found[0][0].dtype == torch.int64
    for indices, images in found:
        assert torch.equal(images, toy.images.pixels[indices])


@pytest.fixture
def lazy(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for number in range(6):
            image = Image.fromarray(rng.integers(0, 256, (5, 4, 3), dtype=np.uint8))
            image.save(tmp_path / folder / f"{number}.png")
    return open_data(str(tmp_path), DataSettings(memory_gb=1e-9))[0], tmp_path


# From Python 3.12 on, forking a process that has threads (torch starts some) warns.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_lazy_batches_are_in_order_and_leave_the_global_stream_alone(lazy, workers):
    images, _ = lazy
    order = shuffled(len(images), 3, torch.Generator().manual_seed(1))
    state = torch.get_rng_state()
    found = list(fetch_batches(images, order, workers=workers))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(torch.cat([indices for indices, _ in found]), torch.cat(order))
    assert torch.equal(torch.cat([batch for _, batch in found]), images.images.fetch(torch.cat(order).tolist()))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_one_line_from_a_worker_too(lazy, workers):
    images, root = lazy
    for path in root.rglob("*.png"):
        path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"cannot read an image of .*png") as error:
        list(fetch_batches(images, in_order(len(images), 4), workers=workers))
    assert "\n" not in str(error.value)


def test_normalisation_inverts_the_moments(toy):
    mean, std = channel_moments(toy)
    pixels = toy.images.pixels.double() / 255
    assert mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=1e-12)
    assert std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), abs=1e-12)
    normal = to_float(toy.images.pixels, mean, std)
    assert normal.dtype == torch.float32
    assert normal.mean((0, 2, 3)).abs().max() < 1e-5
    assert (normal.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5
    expected = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert (normal - expected).abs().max() < 1e-5


def test_moments_of_constant_images_and_of_many():
    assert channel_moments(image_set(torch.full((3, 1, 2, 2), 255, dtype=torch.uint8))) == ((1.0,), (1e-3,))
    many = torch.zeros(20_000, 1, 1, 1, dtype=torch.uint8)
    many[1::2] = 255  # evenly spaced images are every second one
    assert channel_moments(image_set(many))[0] == (0.0,)


def test_centre_crop():
    images = torch.arange(2 * 49).reshape(2, 1, 7, 7)
    assert torch.equal(centre_crop(images, 3), images[..., 2:5, 2:5])
    assert centre_crop(images, 7).shape == images.shape
    with pytest.raises(DataError, match="cannot crop 8 pixels from the centre; got images of 7x7"):
        centre_crop(images, 8)


def test_counts_and_too_few_images():
    images = image_set(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), [0, 0, 1, 0], classes=("cat", "dog", "eel"))
    assert class_counts(images) == (3, 1, 0)
    few = image_set(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), [0, 0, 1, 0], classes=("cat", "dog"))
    require_images(few, 1)
    with pytest.raises(
        DataError,
        match="class 'dog' has 1 image for training; got ipc 2, which needs at least as many, and 1 of 2 classes have "
        "fewer; lower --ipc to 1,",
    ):
        require_images(few, 2)
    with pytest.raises(DataError, match="class 'dog' has 1 image .* and 2 of 2 classes have fewer; lower --ipc to 1"):
        require_images(few, 4)
