"""Moments in parts are the moments of the whole, in every layout and precision."""

import pytest
import torch

from wmdd.errors import DataError
from wmdd.models import streaming_moments as module
from wmdd.models.streaming_moments import Moments


def whole(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    axes = [0, *range(2, values.ndim)]
    variance, mean = torch.var_mean(values.double(), dim=axes, correction=0)
    return mean, variance


def gathered(values: torch.Tensor, batch: int) -> Moments:
    total = Moments.empty(values.shape[1])
    for part in values.split(batch):
        total = total.merge(Moments.of(part))
    return total


def assert_moments(found: Moments, values: torch.Tensor, tolerance: float = 1e-6) -> None:
    mean, variance = whole(values)
    torch.testing.assert_close(found.mean, mean, rtol=tolerance, atol=0.0)
    torch.testing.assert_close(found.variance, variance, rtol=tolerance, atol=0.0)
    assert found.count == values.numel() // values.shape[1]


def activations(*shape: int, offset: float = 1000.0) -> torch.Tensor:
    """Return float32 values whose mean is `offset` times their deviation, other in every channel."""
    draw = torch.Generator().manual_seed(sum(shape))
    values = torch.randn(shape, generator=draw) + offset
    channel = torch.arange(1.0, shape[1] + 1).reshape(1, -1, *[1] * (len(shape) - 2))
    return values * channel


@pytest.mark.parametrize("batch", [1, 7, 100])
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("shape", [(203, 5), (203, 5, 4, 3), (203, 3, 6)])
def test_parts_make_the_whole_at_any_batch_and_order(batch: int, shuffled: bool, shape: tuple[int, ...]) -> None:
    values = activations(*shape)
    if shuffled:
        order = torch.randperm(len(values), generator=torch.Generator().manual_seed(0))
        assert_moments(gathered(values[order], batch), values)
    else:
        assert_moments(gathered(values, batch), values)


@pytest.mark.parametrize("distance", [0.0, 0.5, 1.0])
def test_a_shift_within_a_deviation_changes_nothing(distance: float) -> None:
    values = activations(50, 6, 4, 4)
    mean, variance = whole(values)
    assert_moments(Moments.of(values, shift=(mean + distance * variance.sqrt()).float()), values)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(20, 64, 16, 16), (20, 128, 8, 8), (20, 512, 2, 2)])
def test_layouts_of_convolutions(layout: torch.memory_format, shape: tuple[int, ...]) -> None:
    values = activations(*shape).contiguous(memory_format=layout)
    assert_moments(Moments.of(values), values)


def test_batches_of_very_different_means() -> None:
    values = activations(60, 4, 3, 3, offset=0.0) + torch.arange(60.0).reshape(-1, 1, 1, 1) * 50
    assert_moments(gathered(values, 7), values)


def test_an_outlier_in_front_does_no_harm() -> None:
    values = activations(50, 3, 4, 4, offset=1.0)
    values[0, :, 0, 0] = 1e4
    assert_moments(gathered(values, 50), values)


def test_blocks_give_what_one_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    values = activations(50, 8, 4, 4)
    once = Moments.of(values)
    monkeypatch.setattr(module, "_BLOCK", 300)
    torch.testing.assert_close(Moments.of(values).variance, once.variance, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64, torch.int32])
def test_other_types(kind: torch.dtype) -> None:
    values = (activations(40, 3, 5, 5, offset=4.0) * 8).to(kind)
    found = Moments.of(values)
    assert found.mean.dtype == found.m2.dtype == torch.float64
    assert_moments(found, values)


def test_constant_channels_have_no_variance_and_the_input_is_left_alone() -> None:
    values = torch.full((6, 2, 3, 3), 7.3)
    found = gathered(values, 2)
    assert (found.variance == 0).all()
    assert (values == 7.3).all()
    assert not Moments.of(values.requires_grad_()).mean.requires_grad


def test_merging_is_associative_and_symmetric() -> None:
    parts = [Moments.of(part) for part in activations(90, 6, 2, 2).split([1, 30, 59])]
    left = parts[0].merge(parts[1]).merge(parts[2])
    right = parts[0].merge(parts[1].merge(parts[2]))
    mirrored = parts[2].merge(parts[1]).merge(parts[0])
    for other in (right, mirrored):
        assert other.count == left.count
        torch.testing.assert_close(other.mean, left.mean, rtol=1e-14, atol=0.0)
        torch.testing.assert_close(other.m2, left.m2, rtol=1e-12, atol=0.0)


def test_nothing_merges_into_anything() -> None:
    some, none = Moments.of(activations(5, 3)), Moments.empty(3)
    assert some.merge(none) is some
    assert none.merge(some) is some
    assert none.merge(none).count == 0
    assert (none.variance == 0).all()


@pytest.mark.parametrize("shape", [(4,), (0, 3), (2, 0, 1)])
def test_no_values_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="moments need values"):
        Moments.of(torch.zeros(shape))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees() -> None:
    values = activations(50, 16, 8, 8)
    found = Moments.of(values.cuda())
    assert found.mean.is_cuda
    assert_moments(
        Moments.empty(16).merge(Moments(count=found.count, mean=found.mean.cpu(), m2=found.m2.cpu())), values
    )
