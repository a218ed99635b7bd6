"""The kernel against hand-computed values and wide networks; regression and label solve against independent solvers."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from wmdd.training.ntk import (
    RIDGE,
    centred_classes,
    kernel_regression,
    regression_loss,
    solve_labels,
    tangent_kernel,
)


def inputs(count: int, width: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(count, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_hand_computed_values_of_one_hidden_layer() -> None:
    """Orthogonal unit inputs of length 2: S(x, x) = 2·1/2 + .01 = 1.01, S(x, x') = .01."""
    x = torch.eye(2, dtype=torch.float64)
    kernel = tangent_kernel(x, x)
    c = 0.01 / 1.01
    rest = math.pi - math.acos(c)
    covariance = 2 * 1.01 * (c * rest + math.sqrt(1 - c * c)) / math.pi / 2 + 0.01
    assert float(kernel[0, 1]) == pytest.approx(covariance + 2 * rest / math.pi / 2 * 0.01, rel=1e-12)
    # On the diagonal k0 = k1 = 1: S = 1.02 and Theta = 1.02 + 1.01.
    assert float(kernel[0, 0]) == pytest.approx(2.03, rel=1e-6)


def test_hand_computed_diagonal_of_three_hidden_layers() -> None:
    x = torch.tensor([[1.0, 1.0]], dtype=torch.float64)  # S = 2·2/2 + .01 = 2.01
    assert float(tangent_kernel(x, x, hidden=3)) == pytest.approx(2.04 + 2.03 + 2.02 + 2.01, rel=1e-6)


def test_kernel_is_symmetric_positive_and_takes_images() -> None:
    images = inputs(6, 12).view(6, 3, 2, 2)
    kernel = tangent_kernel(images, images, hidden=2)
    torch.testing.assert_close(kernel, kernel.T)
    assert float(torch.linalg.eigvalsh(kernel).min()) > 0
    torch.testing.assert_close(kernel, tangent_kernel(images.flatten(1), images.flatten(1), hidden=2))
    assert tangent_kernel(images.float(), images.float()).dtype == torch.float64


def empirical_kernel(x: Tensor, width: int, hidden: int, seed: int) -> Tensor:
    """Return sum over parameters of df(x)/dw · df(x')/dw for one network of finite width, NTK parametrisation."""
    stream = torch.Generator().manual_seed(seed)
    sizes = [x.shape[1], *[width] * hidden, 1]
    weights = [torch.randn(b, a, dtype=torch.float64, generator=stream) for a, b in zip(sizes, sizes[1:], strict=False)]
    biases = [torch.randn(size, dtype=torch.float64, generator=stream) for size in sizes[1:]]
    parameters = [value.requires_grad_() for value in (*weights, *biases)]
    rows = []
    for row in x:
        signal = row
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            signal = signal if layer == 0 else torch.relu(signal)
            signal = math.sqrt(2 / weight.shape[1]) * (weight @ signal) + 0.1 * bias
        gradients = torch.autograd.grad(signal.sum(), parameters)
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    return torch.stack(rows) @ torch.stack(rows).T


@pytest.mark.parametrize(("hidden", "widths", "nets"), [(1, (64, 4096), 12), (2, (16, 256), 12)])
def test_wide_networks_come_near_the_kernel(hidden: int, widths: tuple[int, int], nets: int) -> None:
    """The error of the mean over networks falls as 1/sqrt(width); measured in units of the kernel's norm."""
    x = inputs(4)
    kernel = tangent_kernel(x, x, hidden=hidden)
    errors = []
    for width in widths:
        mean = torch.stack([empirical_kernel(x, width, hidden, seed) for seed in range(nets)]).mean(0)
        errors.append(float((mean - kernel).norm() / kernel.norm()))
    assert errors[0] < 2 / math.sqrt(widths[0])
    assert errors[1] < 2 / math.sqrt(widths[1])
    assert errors[1] < errors[0] / 1.5


def test_gradients_are_finite_at_equal_points_and_equal_finite_differences() -> None:
    support, queries = inputs(4), inputs(9, seed=1)
    queries[:4] = support  # as at the start of the optimisation
    targets, answers = centred_classes(torch.tensor([0, 0, 1, 1]), 2), inputs(9, 2, seed=2)
    moving = (support + 0.05 * inputs(4, seed=3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: regression_loss(x, targets, queries, answers), moving, atol=1e-6)
    start = support.clone().requires_grad_()
    regression_loss(start, targets, queries, answers).backward()
    assert start.grad is not None
    assert bool(torch.isfinite(start.grad).all())


def test_regression_fits_its_support_and_equals_numpy() -> None:
    support, queries = inputs(6), inputs(5, seed=1)
    targets = centred_classes(torch.arange(6) % 3, 3)
    found = kernel_regression(support, targets, support)
    torch.testing.assert_close(found, targets, rtol=0, atol=1e-3)
    kernel = tangent_kernel(support, support).numpy()
    kernel += RIDGE * np.trace(kernel) / 6 * np.eye(6)
    expected = tangent_kernel(queries, support).numpy() @ np.linalg.inv(kernel) @ targets.numpy()
    np.testing.assert_allclose(kernel_regression(support, targets, queries).numpy(), expected, rtol=1e-8, atol=1e-10)


def test_centred_classes_sum_to_zero() -> None:
    labels = centred_classes(torch.tensor([1, 0]), 4)
    assert labels.tolist() == [[-0.25, 0.75, -0.25, -0.25], [0.75, -0.25, -0.25, -0.25]]


def linear_map(support: Tensor, queries: Tensor) -> np.ndarray:
    """Return A of ||A y_s - y_t||², column by column from the regression itself."""
    return kernel_regression(support, torch.eye(len(support), dtype=torch.float64), queries).numpy()


@pytest.mark.parametrize("part", [2, 7, 40])
def test_label_solve_equals_numpy_and_cannot_be_improved(part: int) -> None:
    support, queries = inputs(6), inputs(40, seed=1)
    answers = centred_classes(torch.arange(40) % 3, 3)
    parts = zip(queries.split(part), answers.split(part), strict=True)
    solved = solve_labels(support, parts)
    expected = np.linalg.lstsq(linear_map(support, queries), answers.numpy(), rcond=None)[0]
    np.testing.assert_allclose(solved.numpy(), expected, rtol=1e-7, atol=1e-9)
    best = float(regression_loss(support, solved, queries, answers))
    for seed in range(20):
        other = solved + 1e-3 * inputs(6, 3, seed=seed)
        assert float(regression_loss(support, other, queries, answers)) > best


def test_label_solve_with_fewer_targets_than_images_has_the_least_norm() -> None:
    support, queries = inputs(6), inputs(3, seed=1)
    answers = centred_classes(torch.arange(3), 3)
    solved = solve_labels(support, [(queries, answers)])
    expected = np.linalg.pinv(linear_map(support, queries)) @ answers.numpy()
    np.testing.assert_allclose(solved.numpy(), expected, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(kernel_regression(support, solved, queries), answers)
