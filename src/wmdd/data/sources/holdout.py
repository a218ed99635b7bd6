"""Images cut from the training images: for the test, where data have no split of their own, and for development.

Development images are tested on in place of the test images while settings are chosen (docs/protocols.md).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from wmdd.context import stream
from wmdd.data.sources.duplicates import group_identical, tell_two_labels
from wmdd.data.sources.listing import Listing, Rows, Splits
from wmdd.errors import DataError
from wmdd.settings import DataSettings
from wmdd.warnings import RunWarning


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What images are cut for."""

    split: str
    """Name of the split that they make."""
    stream: str
    """Name of the random stream that draws them."""
    cut: str
    """In messages, what is done with them."""
    images: str
    """In messages, what they are cut from."""
    otherwise: str
    """In messages, what can be done in place of a cut."""


TEST = Purpose(
    split="val",
    stream="holdout",
    cut="hold a share out for validation",
    images="images",
    otherwise="give a val/ folder",
)
DEVELOPMENT = Purpose(
    split="development",
    stream="development",
    cut="cut development images off",
    images="training images",
    otherwise="leave data.development out",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The images to train on, and those to test on."""

    train: Listing
    tested: Listing
    groups: Rows | None = None
    """int64 `(N,)`: equal for identical pictures of `train`; None = nothing was cut, so none were compared."""
    held_out: float | None = None
    """Share of each class that was held out for the test; None = the data have a split of their own."""
    development: float | None = None
    """Share of each class of the rest that `tested` is; None = it is the test images."""
    warnings: tuple[RunWarning, ...] = ()
    """What was seen when pictures were compared."""


def train_and_test(splits: Splits, settings: DataSettings) -> Parts:
    """Return the data's own split; if there is none, hold out `splits.holdout` or `settings.holdout` of each class.

    Raises:
        DataError: see `hold_out`.
    """
    if splits.val is not None:
        return Parts(train=splits.train, tested=splits.val)
    share = splits.holdout or settings.holdout
    whole = _compared(Parts(train=splits.train, tested=splits.train))
    return replace(_cut(whole, share, settings.holdout_seed, TEST), held_out=share)


def with_development(parts: Parts, settings: DataSettings) -> Parts:
    """Cut `settings.development` of each class from the training images, to be tested on in place of the test images.

    The test images are not looked at, so neither are those compared that are in both splits.

    Raises:
        DataError: see `hold_out`.
    """
    share = settings.development
    if share is None:
        return parts
    return replace(_cut(_compared(parts), share, settings.holdout_seed, DEVELOPMENT), development=share)


def hold_out(listing: Listing, groups: Rows, share: float, seed: int, purpose: Purpose = TEST) -> NDArray[np.bool_]:
    """Choose a share of every class, bool `(N,)`: drawn by `seed` and class name, at least one image of each.

    Identical pictures, those of one number in `groups` `(N,)`, stay together, also those that are in several classes.

    Raises:
        DataError: a class has one image, all of its images are identical, or all are held out with those of others.
    """
    held = np.zeros(len(listing), dtype=bool)
    for label in range(len(listing.classes)):
        positions = np.flatnonzero(listing.labels == label)
        _require_two(listing, positions, groups, purpose)
        count = min(max(1, round(len(positions) * share)), len(positions) - 1)
        drawn = stream(seed, purpose.stream, listing.classes[label])
        order = positions[torch.randperm(len(positions), generator=drawn).numpy()]
        held[order[_whole_groups(groups[order], count)]] = True
    held |= np.isin(groups, groups[held])
    _require_rest(listing, held, purpose)
    return held


def _compared(parts: Parts) -> Parts:
    """Find the identical pictures of the training images, unless that was done."""
    if parts.groups is not None:
        return parts
    groups = group_identical(parts.train)[0]
    return replace(parts, groups=groups, warnings=tuple(tell_two_labels([parts.train], [groups])))


def _cut(parts: Parts, share: float, seed: int, purpose: Purpose) -> Parts:
    assert parts.groups is not None
    held = hold_out(parts.train, parts.groups, share, seed, purpose)
    train, tested = parts.train.take(~held), parts.train.take(held, purpose.split)
    return replace(parts, train=train, tested=tested, groups=parts.groups[~held])


def _require_two(listing: Listing, positions: Rows, groups: Rows, purpose: Purpose) -> None:
    what = f"class {listing.classes[int(listing.labels[positions[0]])]!r} of {listing.name!r}"
    if len(positions) == 1:
        raise DataError(
            f"{what} is too small to {purpose.cut}; got 1 {purpose.images.removesuffix('s')}; "
            f"add images or {purpose.otherwise}"
        )
    if (groups[positions] == groups[positions[0]]).all():
        raise DataError(
            f"all {purpose.images} of {what} are identical, so that one cannot {purpose.cut}; got {len(positions)} "
            f"copies of {listing.image_name(int(positions[0]))}; add other images or {purpose.otherwise}"
        )


def _require_rest(listing: Listing, held: NDArray[np.bool_], purpose: Purpose) -> None:
    left = np.bincount(listing.labels[~held], minlength=len(listing.classes))
    if not left.all():
        raise DataError(
            f"class {listing.classes[int(left.argmin())]!r} of {listing.name!r} shares its {purpose.images} with other "
            "classes, so that all of them would be cut off with those; got none left for training; keep each image in "
            f"one class, or {purpose.otherwise}"
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
