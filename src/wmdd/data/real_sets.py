"""Real images as a set that students learn from: drawn at random or given by their positions, fetched and cropped."""

from collections.abc import Sequence

import torch
from torch import Tensor

from wmdd.context import stream
from wmdd.data.loading import centre_crop, fetch_batches, in_order, require_images
from wmdd.mapped import Gathered, Make, in_memory
from wmdd.values import DistilledSet, ImageSet, Teacher

_BATCH = 250


def random_positions(train: ImageSet, per_class: int, seed: int) -> Tensor:
    """Return the positions of `per_class` images of each class, drawn uniformly without replacement, class by class.

    Draws of one seed are nested: each class has one random order, of which the first images are taken.

    Raises:
        DataError: a class has fewer images.
    """
    require_images(train, per_class)
    drawn: list[Tensor] = []
    for label in range(len(train.classes)):
        members = train.of_class(label)
        order = torch.randperm(len(members), generator=stream(seed, "random", label))
        drawn.append(members[order[:per_class]])
    return torch.cat(drawn)


def real_set(
    method: str,
    train: ImageSet,
    teacher: Teacher,
    positions: Sequence[int],
    ipc: int,
    *,
    workers: int = 0,
    make: Make = in_memory,
) -> DistilledSet:
    """Return the images at `positions`, in this order, as a set of `ipc` images a class, all of equal weight.

    Images that are not in memory are decoded by `workers` processes, or in this one if that is 0. `make` gives the room
    for those that were chosen.
    """
    chosen = torch.as_tensor(positions, dtype=torch.int64)
    batches = [chosen[rows] for rows in in_order(len(chosen), _BATCH)]
    room, start = Gathered(count=len(chosen), make=make), 0
    for index, pixels in fetch_batches(train, batches, workers=workers):
        room.put(start, {"images": centre_crop(pixels, train.image_size)})
        start += len(index)
    return DistilledSet(
        method=method,
        images=room.tensors["images"],
        labels=train.labels[chosen],
        weights=torch.full((len(chosen),), 1 / ipc),
        classes=train.classes,
        mean=teacher.mean,
        std=teacher.std,
    )
