"""Validation images from the training images, where data have no split of their own."""

import numpy as np
import torch
from numpy.typing import NDArray

from wmdd.context import stream
from wmdd.data.sources.listing import Listing, Rows
from wmdd.errors import DataError


def hold_out(listing: Listing, groups: Rows, share: float, seed: int) -> tuple[Listing, Listing]:
    """Split off a share of every class for validation: drawn by `seed` and class name, at least one image of each.

    Identical pictures, those of one number in `groups` `(N,)`, stay together, also those that are in several classes.

    Raises:
        DataError: a class has one image, all of its images are identical, or all are held out with those of others.
    """
    val = np.zeros(len(listing), dtype=bool)
    for label in range(len(listing.classes)):
        positions = np.flatnonzero(listing.labels == label)
        _require_two(listing, label, positions, groups)
        count = min(max(1, round(len(positions) * share)), len(positions) - 1)
        drawn = stream(seed, "holdout", listing.classes[label])
        order = positions[torch.randperm(len(positions), generator=drawn).numpy()]
        val[order[_whole_groups(groups[order], count)]] = True
    val |= np.isin(groups, groups[val])
    _require_rest(listing, val)
    return listing.take(~val, "train"), listing.take(val, "val")


def _require_two(listing: Listing, label: int, positions: Rows, groups: Rows) -> None:
    what = f"class {listing.classes[label]!r} of {listing.name!r}"
    if len(positions) == 1:
        raise DataError(
            f"{what} is too small to hold a share out for validation; got 1 image; add images or give a val/ folder"
        )
    if (groups[positions] == groups[positions[0]]).all():
        raise DataError(
            f"all images of {what} are identical, so that none can be held out for validation; got {len(positions)} "
            f"copies of {listing.image_name(int(positions[0]))}; add other images or give a val/ folder"
        )


def _require_rest(listing: Listing, val: NDArray[np.bool_]) -> None:
    left = np.bincount(listing.labels[~val], minlength=len(listing.classes))
    if not left.all():
        raise DataError(
            f"class {listing.classes[int(left.argmin())]!r} of {listing.name!r} shares its images with other classes, "
            "so that all of them would be held out with those; got none left for training; keep each image in one class"
        )


def _whole_groups(groups: Rows, count: int) -> NDArray[np.bool_]:
    """Choose whole groups in order, up to `count` images, or one of the smallest if all are larger."""
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    chosen = np.zeros(len(names), dtype=bool)
    held = 0
    for group in inverse:
        if held == count:
            break
        if not chosen[group] and held + sizes[group] <= count:
            chosen[group] = True
            held += sizes[group]
    if not held:
        chosen[inverse[np.argmin(sizes[inverse])]] = True
    return chosen[inverse]
