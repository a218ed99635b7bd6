"""Losses that G-VBSM and SCDD have for themselves, against sums written out and NumPy."""

import numpy as np
import pytest
import torch

from wmdd.methods.gvbsm.terms import MovingAverage, densification
from wmdd.methods.scdd.selfsupervised import nt_xent


def numpy_densification(images: np.ndarray, temperature: float) -> float:
    total = 0.0
    for own in images.reshape(*images.shape[:2], -1):
        values = np.linalg.eigvalsh(own @ own.T / own.shape[1])
        wanted, found = (np.exp(each - each.max()) for each in (values / temperature, values))
        wanted, found = wanted / wanted.sum(), found / found.sum()
        total += float((wanted * (np.log(wanted) - np.log(found))).sum())
    return total


def spectrum(images: torch.Tensor) -> torch.Tensor:
    flat = images.flatten(2)[0]
    return torch.linalg.eigvalsh(flat @ flat.T / flat.shape[1])


def test_densification_is_the_divergence_of_the_spectra() -> None:
    images = torch.randn(2, 5, 3, 4, 4, dtype=torch.float64)
    images[1] = images[1, :1] + 0.1 * images[1]  # a class of images that are nearly the same
    assert float(densification(images, 4.0)) == pytest.approx(numpy_densification(images.numpy(), 4.0), rel=1e-9)


def test_densification_is_alive_for_images_that_are_nearly_the_same_at_32_pixels() -> None:
    """Without the division by D both distributions have one point here, and value and gradient are 0 in float32."""
    images = torch.randn(1, 1, 3, 32, 32).expand(1, 10, -1, -1, -1) + 0.3 * torch.randn(1, 10, 3, 32, 32)
    images = images.clone().requires_grad_()
    value = densification(images, 4.0)
    value.backward()
    assert images.grad is not None
    assert float(value.detach()) > 0.01
    assert float(images.grad.abs().max()) > 1e-6
    assert float(densification(images.detach() * 3072**0.5, 4.0)) == 0.0  # what the division takes away
    before, after = spectrum(images.detach()), spectrum(images.detach() - 50 * images.grad)
    assert float(after[-1] - after[0]) < float(before[-1] - before[0])  # a step makes the eigenvalues more equal


def test_densification_of_one_image_a_class_is_nothing() -> None:
    images = torch.randn(3, 1, 1, 8, 8, requires_grad=True)
    value = densification(images, 4.0)
    value.backward()
    assert float(value.detach()) == 0
    assert images.grad is not None
    assert float(images.grad.abs().max()) == 0


def test_nt_xent_is_the_sum_written_out() -> None:
    vectors = torch.randn(6, 4, dtype=torch.float64)
    units = (vectors / vectors.norm(dim=1, keepdim=True)).numpy()
    total = 0.0
    for i in range(6):
        partner = (i + 3) % 6
        others = sum(np.exp(units[i] @ units[j] / 0.5) for j in range(6) if j != i)
        total -= np.log(np.exp(units[i] @ units[partner] / 0.5) / others)
    assert float(nt_xent(vectors, 0.5)) == pytest.approx(total / 6, rel=1e-5)


def test_nt_xent_is_least_where_views_agree_and_images_differ() -> None:
    apart = torch.eye(4).repeat(2, 1)
    same = torch.ones(8, 4)
    assert float(nt_xent(apart, 0.1)) < 0.01
    assert float(nt_xent(same, 0.1)) == pytest.approx(np.log(7), rel=1e-5)


def test_the_moving_average_starts_at_the_first_value_and_has_the_gradient_of_the_latest() -> None:
    average = MovingAverage.empty(torch.zeros(2), 0.8)
    everything = torch.tensor([True, True])
    first = torch.tensor([1.0, -2.0], requires_grad=True)
    found = average.follow(first, everything)
    torch.testing.assert_close(found.detach(), torch.tensor([1.0, -2.0]))
    second = torch.tensor([2.0, 0.0], requires_grad=True)
    found = average.follow(second, everything)
    expected = (0.8 * 0.2 * first.detach() + 0.2 * second.detach()) / (1 - 0.8**2)
    torch.testing.assert_close(found.detach(), expected)
    found.sum().backward()
    assert second.grad is not None
    assert second.grad.tolist() == [1.0, 1.0]
    assert first.grad is None


def test_the_moving_average_of_a_constant_is_that_constant() -> None:
    average = MovingAverage.empty(torch.zeros(1), 0.8)
    for _ in range(5):
        found = average.follow(torch.tensor([3.0]), torch.tensor([True]))
        assert float(found) == pytest.approx(3.0, rel=1e-5)


def test_entries_that_sit_out_stay_what_they_are() -> None:
    average = MovingAverage.empty(torch.zeros(2), 0.5)
    average.follow(torch.tensor([4.0, 4.0]), torch.tensor([True, False]))
    found = average.follow(torch.tensor([8.0, 8.0]), torch.tensor([False, True]))
    torch.testing.assert_close(found, torch.tensor([4.0, 8.0]))
    assert average.steps.tolist() == [1.0, 1.0]


def test_without_decay_the_average_is_the_latest_value() -> None:
    average = MovingAverage.empty(torch.zeros(1), 0.0)
    for value in (1.0, 5.0):
        assert float(average.follow(torch.tensor([value]), torch.tensor([True]))) == value
