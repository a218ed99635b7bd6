"""From images to batches for networks: orders, reading, normalisation, counts."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from wmdd.context import sent
from wmdd.errors import DataError
from wmdd.values import Images, ImageSet

_MOMENT_IMAGES = 10_000
_MOMENT_BATCH = 256
_SMALLEST_STD = 1e-3


def batch_spans(num_images: int, batch: int) -> list[slice]:
    """Return how an epoch is cut into training batches, in order: the one rule of every loader.

    The last batch may be shorter, but not a single image: that one joins the batch before, for BatchNorm cannot
    normalise it where a layer's maps have one pixel. Nothing is left out, and no other batch changes.
    """
    starts = list(range(0, num_images, batch))
    if batch > 1 and len(starts) > 1 and num_images % batch == 1:
        del starts[-1]
    return [slice(start, stop) for start, stop in pairwise([*starts, num_images])]


def shuffled(num_images: int, batch: int, generator: torch.Generator, *, drop_last: bool = False) -> list[Tensor]:
    """Return one epoch of positions in random order, int64 `(B,)` each, cut by `batch_spans`.

    With `drop_last` every remainder, also that of one, is left out instead (torch's `drop_last`).
    """
    order = torch.randperm(num_images, generator=generator)
    kept = num_images - num_images % batch if drop_last else num_images
    return [order[span] for span in batch_spans(kept, batch)]


def in_order(num_images: int, batch: int) -> list[Tensor]:
    """Return all positions in stored order, int64 `(batch,)` each; the last may be shorter."""
    return list(torch.arange(num_images).split(batch))


def fetch_batches(
    image_set: ImageSet,
    index_batches: Iterable[Tensor | Sequence[int]],
    *,
    workers: int = 0,
    device: torch.device | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield `(indices, images)` for each batch, in order: int64 `(B,)` on the CPU and uint8 `(B, ch, S, S)`.

    Images that are not in memory are decoded ahead by `workers` processes, which live as long as this call, or in this
    process if that is 0. Images are moved to `device`; None leaves them on the CPU.

    Raises:
        DataError: an image cannot be read.
    """
    pairs = _Batches(image_set.images)
    if image_set.images.in_memory or workers == 0:
        loaded: Iterable[tuple[Tensor, Tensor | DataError]] = map(pairs.__getitem__, index_batches)
    else:
        # One batch is one item: a worker needs no sampler, no collation and no random numbers.
        # A generator of its own keeps the loader from drawing on the global one.
        loaded = DataLoader(
            pairs,
            batch_size=None,
            sampler=index_batches,
            num_workers=workers,
            pin_memory=device is not None and device.type == "cuda",
            generator=torch.Generator(),
        )
    for indices, images in loaded:
        if isinstance(images, DataError):
            raise images
        yield indices, images if device is None else sent(images, device)


class _Batches(Dataset[tuple[Tensor, "Tensor | DataError"]]):
    """Batches of images by their positions.

    An error is passed as a value: the loader would wrap a raised one in many lines of traceback.
    """

    def __init__(self, images: Images) -> None:
        self._images = images

    def __getitem__(self, index: Tensor | Sequence[int]) -> "tuple[Tensor, Tensor | DataError]":
        indices = torch.as_tensor(index, dtype=torch.int64)
        try:
            return indices, self._images.fetch(indices.tolist())
        except DataError as error:
            return indices, error


def to_float(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalise uint8 `(B, ch, H, W)` to float32 `(x / 255 - mean) / std`, channel by channel."""
    shift, scale = sent(255 * torch.tensor([mean, std], dtype=torch.float32)[..., None, None], images.device)
    return (images.float() - shift) / scale


def centre_crop(images: Tensor, size: int) -> Tensor:
    """Return the central `size` x `size` of images `(..., H, W)`, a view of the same memory."""
    height, width = images.shape[-2:]
    if size > min(height, width):
        raise DataError(f"cannot crop {size} pixels from the centre; got images of {height}x{width}; lower image_size")
    top, left = (height - size) // 2, (width - size) // 2
    return images[..., top : top + size, left : left + size]


def channel_moments(image_set: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel's pixels in [0, 1].

    They are exact over the whole canvases of all images, or of 10,000 evenly spaced ones. A standard deviation below
    1e-3 (a channel that never changes) is returned as 1e-3.
    """
    sample = min(len(image_set), _MOMENT_IMAGES)
    positions = torch.arange(sample) * len(image_set) // max(sample, 1)
    counts = torch.zeros(image_set.channels, 256, dtype=torch.float64)
    for _, images in fetch_batches(image_set, positions.split(_MOMENT_BATCH)):
        for channel in range(image_set.channels):
            counts[channel] += torch.bincount(images[:, channel].flatten(), minlength=256)
    shares = counts / counts.sum(1, keepdim=True)
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = shares @ values
    std = (shares * (values - mean[:, None]) ** 2).sum(1).sqrt().clamp(min=_SMALLEST_STD)
    return tuple(mean.tolist()), tuple(std.tolist())


def class_counts(image_set: ImageSet) -> tuple[int, ...]:
    """Return the number of images of each class."""
    return tuple(torch.bincount(image_set.labels, minlength=len(image_set.classes)).tolist())


def require_images(image_set: ImageSet, ipc: int) -> None:
    """Raise `DataError` if a class has fewer than `ipc` images."""
    counts = class_counts(image_set)
    fewest = min(range(len(counts)), key=counts.__getitem__)
    if counts[fewest] < ipc:
        word = "image" if counts[fewest] == 1 else "images"
        short = sum(count < ipc for count in counts)
        raise DataError(
            f"class {image_set.classes[fewest]!r} has {counts[fewest]} {word} for training; got ipc {ipc}, which "
            f"needs at least as many, and {short} of {len(counts)} classes have fewer; lower --ipc to "
            f"{counts[fewest]}, or give --ipc-at-most, add images, or leave small classes out"
        )


def require_same_images(image_set: ImageSet, counts: Sequence[int]) -> None:
    """Raise `DataError` if statistics with `counts` rows of each class are of other images: rows name images."""
    if tuple(counts) != class_counts(image_set):
        raise DataError(
            f"statistics and images do not belong together; got {sum(counts)} rows for {len(image_set)} images, "
            "or other numbers in the classes; give the statistics of these images"
        )
