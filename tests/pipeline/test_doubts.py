"""What a run says of its own outcome: saturated pixels, and students below those of random images."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from drawn import HeldImages, drawn_distilled, drawn_set
from wmdd.methods.catalogue import find_method
from wmdd.pipeline.doubts import below_random, few_test_images, saturation
from wmdd.values import DistilledSet, ImageSet


def drawing(black: float) -> ImageSet:
    """Return real images of which a share of the pixels is black and none is white."""
    images = drawn_set()
    pixels = images.images.fetch(range(len(images))).clamp(1, 254)
    pixels[..., : round(black * 8), :] = 0
    return replace(images, images=HeldImages(pixels))


def optimised(saturated: float) -> DistilledSet:
    distilled = drawn_distilled(drawn_set(), method="dm")
    pixels = distilled.images.clamp(1, 254)
    pixels[..., : round(saturated * 8), ::2] = 0
    pixels[..., : round(saturated * 8), 1::2] = 255
    return replace(distilled, images=pixels)


@pytest.mark.parametrize(
    ("saturated", "black", "said"),
    [(1.0, 0.0, True), (0.75, 0.0, True), (0.5, 0.0, False), (0.25, 0.0, False)]
    + [(1.0, 0.5, True), (0.875, 0.5, True), (0.75, 0.5, False), (0.5, 0.5, False), (0.875, 0.75, False)],
)
def test_pixels_at_their_bounds_are_said_unless_the_real_ones_are(saturated: float, black: float, said: bool) -> None:
    found = saturation(optimised(saturated), drawing(black), find_method("dm"))
    assert bool(found) is said
    for warning in found:
        assert (warning.kind, warning.count) == ("saturated pixels", 6)
        assert f"dm: {100 * saturated:.0f} % of the images' pixel values" in warning.text
        assert warning.text.endswith("lower dm.lr")
        assert "\n" not in warning.text


def test_real_images_are_what_they_are() -> None:
    assert saturation(optimised(1.0), drawing(0.0), find_method("rded")) == []


def scores(method: str, accuracies: list[float], protocol: str = "wmdd") -> list[dict[str, Any]]:
    common = {"ipc": 1, "student": "convnet3", "protocol": protocol, "labels": "soft", "top5": 100.0}
    return [
        {"set": method, "seed": seed, "top1": top1, "top1_best": top1, **common} for seed, top1 in enumerate(accuracies)
    ]


@pytest.mark.parametrize(
    ("own", "random", "tested", "said"),
    [
        ([11.0, 12.0, 10.0], [29.0, 30.0, 28.0], 360, True),
        ([28.0, 29.0, 27.0], [29.0, 30.0, 28.0], 360, False),  # within the spread
        ([11.0], [29.0], 360, True),  # single students
        ([25.0], [29.0], 360, False),  # 4 points of 360 images are noise
        ([25.0], [29.0], 50_000, True),
        ([30.0], [29.0], 50_000, False),
        ([0.0], [0.0], 360, False),
        ([20.0, 10.0, 25.0], [27.0, 29.0, 30.0], 50_000, False),  # three pairs: −29.1 to +8.5
    ],
)
def test_less_than_random_is_said_beyond_the_noise(
    own: list[float], random: list[float], tested: int, said: bool
) -> None:
    found = below_random([*scores("wmdd", own), *scores("random", random)], find_method("wmdd"), tested=tested)
    assert bool(found) is said
    for warning in found:
        assert (warning.kind, warning.count) == ("below random", 1)
        assert warning.text.startswith("wmdd teaches less than as many random images: ")
        assert "lower recover.lr" in warning.text


def test_one_warning_for_all_comparisons() -> None:
    rows = [
        row
        for protocol, own in (("wmdd", 20.0), ("rded", 10.0), ("dc", 40.0))
        for row in (*scores("k-center", [own], protocol), *scores("random", [30.0], protocol))
    ]
    (warning,) = below_random(rows, find_method("k-center"), tested=1000)
    assert warning.count == 2
    said = "10.0 % beside 30.0 % (convnet3, protocol rded, soft labels), difference −20.0 (one student: no error known)"
    assert f"{said}, and in 2 of 3 comparisons" in warning.text
    assert "lower" not in warning.text  # nothing was optimised


def test_random_images_are_not_compared_with_themselves() -> None:
    assert below_random(scores("random", [10.0]), find_method("random"), tested=100) == []


def test_a_class_major_set_of_grey_is_not_saturated() -> None:
    grey = replace(optimised(0.0), images=torch.full((6, 3, 8, 8), 128, dtype=torch.uint8))
    assert saturation(grey, drawing(0.0), find_method("wmdd")) == []


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 test image: an accuracy of 50 % is known to ± 45 points"), (24, "± 19 points only")]
)
def test_few_test_images_are_said(count: int, said: str) -> None:
    images = drawn_set(per_class=count, classes=1)
    (warning,) = few_test_images(images)
    assert (warning.kind, warning.count) == ("few test images", count)
    assert said in warning.text


def test_a_hundred_test_images_are_enough() -> None:
    assert few_test_images(drawn_set(per_class=100, classes=1)) == []
