"""The student's own temperature: a case with a closed form, and that it is saved with the weights."""

import pytest
import torch

from wmdd.evaluation.own_temperature import OwnTemperature, best_temperature
from wmdd.training.loop import Batch
from wmdd.training.losses import distillation_loss


@pytest.mark.parametrize(("own", "teacher", "temperature"), [(1.0, 4.0, 2.0), (0.3, 20.0, 20.0), (0.7, 2.0, 1.0)])
def test_logits_in_proportion_are_fitted_by_the_ratio(own: float, teacher: float, temperature: float) -> None:
    """KL is 0 where student / t = teacher / T, so t = T student / teacher."""
    shape = torch.tensor([[1.0, 0.0, -0.5], [0.2, 1.0, 0.0]])
    found = best_temperature(own * shape, teacher * shape, torch.ones(2), temperature)
    assert found == pytest.approx(temperature * own / teacher)


def test_the_grid_ends_at_one() -> None:
    shape = torch.tensor([[1.0, 0.0]])
    assert best_temperature(10 * shape, shape, torch.ones(1), 1.0) == 1.0
    assert best_temperature(1e-4 * shape, shape, torch.ones(1), 1.0) == 0.01


def test_weights_count() -> None:
    student, teacher = torch.tensor([[0.5, 0.0], [0.2, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert best_temperature(student, teacher, torch.tensor([2.0, 0.0]), 1.0) == 0.5
    assert best_temperature(student, teacher, torch.tensor([0.0, 2.0]), 1.0) == 0.2


def test_it_is_the_minimum_of_the_loss_that_students_are_trained_on() -> None:
    student, teacher, weights = torch.randn(6, 4), 5 * torch.randn(6, 4), torch.rand(6)
    best = best_temperature(student, teacher, weights, 3.0)
    losses = {t / 100: float(distillation_loss(student, teacher, weights, 3.0, t / 100)) for t in range(1, 101)}
    assert losses[best] == pytest.approx(min(losses.values()))


def test_it_begins_at_one_and_hard_epochs_leave_it() -> None:
    own = OwnTemperature(teacher=1.0)
    batch = Batch(images=torch.zeros(1, 1, 1, 1), targets=torch.tensor([[1.0, 0.0]]), stretch=True)
    own.follow(torch.tensor([[0.5, 0.0]]), batch)
    assert own.value == 1.0
    own.follow(torch.tensor([[0.5, 0.0]]), Batch(images=batch.images, targets=batch.targets))
    assert own.value == 0.5
    assert own.carried == {"own temperature": 0.5}
