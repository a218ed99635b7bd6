"""Logits in 8 bits: their error is bounded, and known answers come back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plain_views import full_views
from wmdd.product.labels import soft_targets
from wmdd.values.quantising import dequantise, keep_largest, label_bytes, quantise

LOGITS = st.floats(-3e4, 3e4, width=32)


@given(st.lists(st.lists(LOGITS, min_size=4, max_size=4), min_size=1, max_size=8))
def test_a_logit_is_off_by_at_most_half_a_scale(rows: list[list[float]]) -> None:
    values = torch.tensor(rows, dtype=torch.float32)
    codes, scale, offset = quantise(values)
    assert (codes.dtype, scale.dtype, offset.dtype) == (torch.uint8, torch.float16, torch.float16)
    exact = offset.double()[:, None] + scale.double()[:, None] * codes.double()
    assert bool(((exact - values.double()).abs() <= scale.double()[:, None] / 2).all())
    spread = values.double().amax(1) - values.double().amin(1)
    # float16 has 11 bits: the offset is off by at most 2^-10 of itself, the scale too, or by its smallest step 2^-24
    bound = (spread + offset.double().abs() * 2**-10) / 255 * (1 + 2**-9) + 2**-23
    assert bool((scale.double() <= bound).all())


def test_known_codes() -> None:
    codes, scale, offset = quantise(torch.tensor([[0.0, 255.0, 100.0], [-2.0, -2.0, -2.0], [1.0, 1.0 + 255 / 64, 2.0]]))
    assert codes.tolist() == [[0, 255, 100], [0, 0, 0], [0, 255, 64]]
    assert scale.tolist() == [1.0, 0.0, 1 / 64]
    assert offset.tolist() == [0.0, -2.0, 1.0]
    assert dequantise(codes, scale, offset)[2].tolist() == [1.0, 1.0 + 255 / 64, 2.0]


def test_the_largest_are_kept_with_the_mean_of_the_rest() -> None:
    logits = torch.zeros(2, 12)
    logits[0, 3], logits[0, 7], logits[0, 0] = 4.0, 3.0, 1.0
    logits[1] = -2.0
    logits[1, 11], logits[1, 1] = 5.0, 0.0
    kept = keep_largest(full_views(torch.arange(2), 8), logits, 2)
    assert kept.classes is not None
    assert kept.rest is not None
    assert kept.classes.tolist() == [[3, 7], [11, 1]]
    assert kept.classes.dtype == torch.int16
    torch.testing.assert_close(kept.rest, torch.tensor([0.1, -2.0]).half())
    expected = torch.full((2, 12), 0.1)
    expected[0, 3], expected[0, 7] = 4.0, 3.0
    expected[1] = -2.0
    expected[1, 11], expected[1, 1] = 5.0, 0.0
    torch.testing.assert_close(soft_targets(kept, 12), expected, rtol=0, atol=5 / 255 / 2 * 1.01)


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_of_few_classes_all_are_kept_in_order(count: int) -> None:
    """Naming classes would take more bytes."""
    logits = torch.tensor([[3.0, -1.0, 0.5]])
    kept = keep_largest(full_views(torch.arange(1), 8), logits, count)
    assert kept.classes is None
    assert kept.rest is None
    torch.testing.assert_close(soft_targets(kept, 3), logits, rtol=0, atol=4 / 255 / 2 * 1.01)


def test_many_classes_need_wider_numbers() -> None:
    logits = torch.zeros(1, 40_000)
    logits[0, 39_999] = 1.0
    kept = keep_largest(full_views(torch.arange(1), 8), logits, 1)
    assert kept.classes is not None
    assert kept.classes.tolist() == [[39_999]]
    assert kept.classes.dtype == torch.int32


def test_bytes_are_those_of_the_tensors() -> None:
    for classes, count in ((12, 2), (12, 3), (4, 9), (40_000, 3)):
        kept = keep_largest(full_views(torch.arange(5), 8), torch.randn(5, classes), count)
        assert sum(value.nbytes for value in kept.answers().values()) == 5 * label_bytes(classes, count)
    assert label_bytes(10, None) == 20


def test_imagenet_at_ten_images_a_class_fits() -> None:
    """31 stored epochs of 10,000 images, the 50 largest of 1,000 logits: below 0.07 GB, and 1/80 of all in float16."""
    size = 31 * 10_000 * label_bytes(1000, 50)
    assert size < 0.07e9
    assert size < 300 * 10_000 * (label_bytes(1000, None) + 42) / 80
