"""Losses of the methods that invert statistics, against sums written out, NumPy, and what `wmdd.ot` computes."""

import numpy as np
import pytest
import torch

from wmdd import ot
from wmdd.methods.gvbsm.terms import MovingAverage, densification
from wmdd.methods.scdd.selfsupervised import nt_xent
from wmdd.ot.alternatives.mmd import rbf_objective
from wmdd.stages.recovery.forward import Forward
from wmdd.stages.recovery.mmd import linear_discrepancy, rbf_discrepancy
from wmdd.stages.recovery.terms import GroupLoss, Term, layer_norms, squared_distance


def passed(images: torch.Tensor, step: int) -> Forward:
    return Forward(step=step, views=images, logits=images.flatten(1))


def never(forward: Forward) -> torch.Tensor:
    raise AssertionError(forward.step)


def test_a_loss_is_the_weighted_sum_of_its_terms_under_their_names() -> None:
    terms = (
        Term(name="total_variation", weight=0.5, value=lambda forward: forward.views.diff(dim=3).abs().sum()),
        Term(name="norm", weight=2.0, value=lambda forward: forward.logits.square().sum(dim=1), classes=2),
        Term(name="nothing", weight=0.0, value=never),
    )
    images = torch.tensor([[1.0, 3.0], [0.0, -2.0]]).view(2, 1, 1, 2).requires_grad_()
    found = GroupLoss(forward=passed, terms=terms)(images, 0)
    assert {name: float(value) for name, value in found.columns.items()} == {"total_variation": 4.0, "norm": 14.0}
    assert float(found.total.detach()) == 0.5 * 4 + 2 * 14
    assert not any(value.requires_grad for value in found.columns.values())
    found.total.backward()
    assert images.grad is not None
    torch.testing.assert_close(images.grad.flatten(), torch.tensor([3.5, 12.5, 0.5, -8.5]))


def test_a_loss_without_terms_leaves_images_as_they_are() -> None:
    images = torch.randn(2, 1, 2, 2, requires_grad=True)
    found = GroupLoss(forward=passed, terms=())(images, 0)
    found.total.backward()
    assert images.grad is not None
    assert (float(found.total.detach()), float(images.grad.abs().max()), dict(found.columns)) == (0, 0, {})


def test_distances_of_moments_have_known_values() -> None:
    values, targets = torch.tensor([[3.0, 4.0, 2.0], [0.0, 0.0, 1.0]]), torch.zeros(2, 3)
    assert squared_distance(values, targets, (2, 1)).tolist() == [29.0, 1.0]
    assert layer_norms(values, targets, (2, 1)).tolist() == [7.0, 1.0]


def naive_rbf(one: torch.Tensor, other: torch.Tensor, median: float) -> float:
    total = 0.0
    for a in one:
        for b in other:
            distance = float((a - b).square().sum())
            for q in (0.25, 0.5, 1.0, 2.0, 4.0):
                width = q * median / 2
                total += np.exp(-distance / (2 * width))
    return total / (len(one) * len(other))


def test_rbf_discrepancy_is_the_sum_over_pairs_and_widths() -> None:
    features, real = torch.randn(3, 5, dtype=torch.float64), torch.randn(7, 5, dtype=torch.float64)
    parts = [naive_rbf(*pair, 3.0) for pair in ((features, features), (features, real), (real, real))]
    found = float(rbf_discrepancy(features, real, 3.0))
    assert found == pytest.approx(parts[0] - 2 * parts[1] + parts[2], rel=1e-9)


def test_rbf_discrepancy_is_the_one_of_the_barycenters_with_its_gradient() -> None:
    real = torch.randn(40, 6, dtype=torch.float64)
    atoms = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    median = ot.median_distance(real.numpy())
    found = rbf_discrepancy(atoms, real, median)
    found.backward()
    unit = np.sqrt(median)
    value, gradient = rbf_objective(atoms.detach().numpy() / unit, real.numpy() / unit)
    constant = float(rbf_discrepancy(real, real, median)) + naive_rbf(real, real, median)
    assert float(found.detach()) == pytest.approx(value / 4 + constant, rel=1e-9)
    assert atoms.grad is not None
    np.testing.assert_allclose(atoms.grad.numpy(), gradient / 4 / unit, rtol=1e-7, atol=1e-12)


def test_discrepancies_of_a_sample_to_itself_are_zero_and_else_positive() -> None:
    real = torch.randn(30, 4)
    assert float(rbf_discrepancy(real, real, 2.0)) == pytest.approx(0, abs=1e-6)
    assert float(linear_discrepancy(real, real)) == 0
    assert float(rbf_discrepancy(real[:1] + 1, real, 2.0)) > 0


def test_linear_discrepancy_compares_means_alone() -> None:
    features, real = torch.tensor([[1.0, 0.0], [3.0, 2.0]]), torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]])
    assert float(linear_discrepancy(features, real)) == pytest.approx(1.0 + 0.0)
    assert float(linear_discrepancy(features.mean(0, keepdim=True), real)) == pytest.approx(1.0)


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
