"""W2² of a set of features: its value is that of `wmdd.ot`, its gradient that of finite differences."""

import pytest
import torch

from wmdd import ot
from wmdd.stages.recovery.transport import set_discrepancy


def drawn(rows: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


WEIGHTS = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)


@pytest.mark.parametrize("masses", [None, torch.tensor([0.1, 0.3, 0.2, 0.25, 0.15], dtype=torch.float64)])
def test_value_and_gradient(masses: torch.Tensor | None) -> None:
    points, features = drawn(5, 1), drawn(3, 2).requires_grad_()

    def value(rows: torch.Tensor) -> float:
        return ot.wasserstein2(rows, points, WEIGHTS, masses).value

    found = set_discrepancy(features, points, WEIGHTS, masses)
    found.backward()
    assert float(found.detach()) == pytest.approx(value(features.detach()), rel=1e-9)
    assert features.grad is not None
    step = 1e-5
    for row in range(3):
        for column in range(3):
            moved = torch.zeros(3, 3, dtype=torch.float64)
            moved[row, column] = step
            slope = (value(features.detach() + moved) - value(features.detach() - moved)) / (2 * step)
            assert float(features.grad[row, column]) == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_the_gradient_draws_each_feature_to_its_barycentric_projection() -> None:
    points, features = drawn(5, 1), drawn(3, 2).requires_grad_()
    set_discrepancy(features, points, WEIGHTS).backward()
    plan = torch.from_numpy(ot.wasserstein2(features.detach(), points, WEIGHTS).plan)
    projections = plan @ points / WEIGHTS[:, None]
    assert features.grad is not None
    torch.testing.assert_close(features.grad, 2 * WEIGHTS[:, None] * (features.detach() - projections))


def test_a_set_that_is_there_has_no_loss_whatever_its_order() -> None:
    points = drawn(4, 3)
    features = points.flip(0).float().requires_grad_()
    found = set_discrepancy(features, points, torch.full((4,), 0.25))
    found.backward()
    assert float(found.detach()) == pytest.approx(0, abs=1e-12)
    assert features.grad is not None
    assert float(features.grad.abs().max()) < 1e-6


def test_one_image_is_drawn_to_the_mean() -> None:
    points, feature = drawn(6, 4), torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    set_discrepancy(feature, points, torch.ones(1)).backward()
    torch.testing.assert_close(feature.grad, -2 * points.mean(0, keepdim=True))
