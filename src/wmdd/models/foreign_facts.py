"""What a checkpoint file says of its network beside the weights: normalisation, class order, accuracy."""

import argparse
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wmdd.errors import ConfigError

Moments = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation per channel, of pixels in [0, 1]."""

IMAGENET: Moments = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

_PLACES = ("pretrained_cfg", "args", "hyper_parameters", "config", "meta", "normalisation", "normalization")
_WORDS = ("normalisation", "normalization")
_CLASSES = ("classes", "class_names", "label_names")
_ACCURACY = ("top1", "best_acc1", "acc1", "acc", "accuracy", "best_acc", "val_acc")


def stated_moments(path: Path, facts: Mapping[str, Any], channels: int) -> Moments | str | None:
    """Return the mean and deviation that a file states, or its word `"data"` or `"imagenet"`, or None.

    They stand as `mean` and `std` in the file or in one of its dictionaries, of pixels in [0, 1] or in 0..255.

    Raises:
        ConfigError: they are no such numbers, or of another number of channels.
    """
    for place in _places(facts):
        if place.get("mean") is None or place.get("std") is None:
            continue
        mean, std = _numbers(place["mean"]), _numbers(place["std"])
        if not mean or not std or not _sound(mean, std):
            raise ConfigError(
                f"checkpoint {path} states no usable normalisation; got mean {place.get('mean')!r:.60} and std "
                f"{place.get('std')!r:.60}; give --squeeze.mean and --squeeze.std"
            )
        scale = 255.0 if max(mean) > 1 else 1.0
        scaled = [value / scale for value in mean], [value / scale for value in std]
        return fit_channels(*scaled, channels, f"mean and std in checkpoint {path}")
    return next((word for name in _WORDS for word in ("data", "imagenet") if facts.get(name) == word), None)


def fit_channels(mean: Sequence[float], std: Sequence[float], channels: int, owner: str) -> Moments:
    """Return moments for `channels` channels: one value is repeated, three become their mean for grey images.

    Raises:
        ConfigError: there are values for another number of channels.
    """
    if not {len(mean), len(std)} <= ({1, 3} if channels == 1 else {1, channels}):
        raise ConfigError(
            f"{owner} need a value for each channel; got {len(mean)} and {len(std)} for {channels} channels; "
            f"give --squeeze.mean and --squeeze.std with {channels}"
        )
    return per_channel(mean, channels), per_channel(std, channels)


def per_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """Fit values to other channel counts: grey gets their mean, as timm sums the weights; more repeat them."""
    if channels == 1:
        return (sum(values) / len(values),)
    return tuple(float(values[index % len(values)]) for index in range(channels))


def stated_classes(facts: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the class names that a file has, in the order of its outputs, or None.

    They stand as a list (`classes`, `class_names`, `label_names`) or as torchvision's `class_to_idx`.
    """
    for place in _places(facts):
        for name in _CLASSES:
            found = place.get(name)
            if isinstance(found, (list, tuple)) and found and all(isinstance(each, (str, int)) for each in found):
                return tuple(map(str, found))
        index = place.get("class_to_idx")
        if isinstance(index, Mapping) and index and {*map(repr, index.values())} == {*map(repr, range(len(index)))}:
            return tuple(str(name) for name, _ in sorted(index.items(), key=lambda entry: int(entry[1])))
    return None


def class_rows(owner: str, names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Return for each of the data's classes which output of a network with these `names` answers it.

    Raises:
        ConfigError: they are not the same classes.
    """
    found = {unicodedata.normalize("NFC", name): row for row, name in enumerate(names)}
    wanted = [unicodedata.normalize("NFC", name) for name in classes]
    foreign = next((name for name in wanted if name not in found), None)
    if len(names) != len(classes) or len(found) != len(names) or foreign is not None:
        extra = [name for name in found if name not in set(wanted)]
        theirs = repr(extra[0]) if extra and len(names) == len(classes) else f"{len(names)} classes"
        ours = repr(foreign) if foreign is not None and len(names) == len(classes) else f"{len(classes)}"
        raise ConfigError(
            f"{owner} has other classes than the data; got {theirs} where the data have {ours}; use a "
            "teacher of these classes, or name them as the data do with --squeeze.classes"
        )
    return [found[name] for name in wanted]


def stated_accuracy(facts: Mapping[str, Any]) -> float | None:
    """Return the accuracy that a file states, in per cent, or None; values up to 1 are fractions."""
    for name in _ACCURACY:
        values = _numbers(facts.get(name))
        if values is not None and len(values) == 1 and 0 < values[0] <= 100:
            return values[0] if values[0] > 1 else 100 * values[0]
    return None


def _places(facts: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the file's entries themselves, then the dictionaries among them that hold settings."""
    yield facts
    for name in _PLACES:
        place = facts.get(name)
        if isinstance(place, argparse.Namespace):
            yield vars(place)
        elif isinstance(place, Mapping):
            yield place


def _numbers(value: Any) -> list[float] | None:
    """Return a number, a list of numbers or a small tensor of them as a list; None if it is something else."""
    if isinstance(value, Tensor):
        small = value.numel() <= 64 and value.layout is torch.strided and not (value.is_meta or value.is_quantized)
        value = value.flatten().tolist() if small else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [float(value)]
    if isinstance(value, (list, tuple)) and all(isinstance(each, (int, float)) for each in value):
        return [float(each) for each in value]
    return None


def _sound(mean: Sequence[float], std: Sequence[float]) -> bool:
    return all(map(math.isfinite, [*mean, *std])) and min(mean) >= 0 and max(mean) <= 255 and min(std) > 0
