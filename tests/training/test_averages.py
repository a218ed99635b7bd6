"""Moving averages of what is optimised, against the weighted mean written out."""

import pytest
import torch

from wmdd.training.averages import Averages


def test_an_average_is_the_weighted_mean_of_the_steps_alone() -> None:
    variable = torch.full((2,), 100.0, requires_grad=True)  # the start does not count
    averages = Averages({"images": variable}, 0.8)
    steps = [torch.tensor([1.0, 2.0]), torch.tensor([4.0, 0.0]), torch.tensor([-2.0, 5.0])]
    for number, value in enumerate(steps, start=1):
        with torch.no_grad():
            variable.copy_(value)
        averages.take(number)
    averages.put()
    weights = torch.tensor([0.64, 0.8, 1.0])
    expected = (weights[:, None] * torch.stack(steps)).sum(0) / weights.sum()
    torch.testing.assert_close(variable.detach(), expected)


class Counter:
    """What a loss may carry."""

    def __init__(self) -> None:
        self.value = torch.zeros(1)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"value": self.value}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        self.value = tensors["value"]


def test_saved_averages_go_on_where_they_were_beside_what_the_loss_carries() -> None:
    counter, variable = Counter(), torch.tensor([3.0])
    averages = Averages({"x": variable}, 0.5, beside=counter)
    averages.take(1)
    counter.value = torch.tensor([7.0])
    kept = {name: value.clone() for name, value in averages.tensors().items()}
    fresh, other = Counter(), torch.tensor([0.0])
    again = Averages({"x": other}, 0.5, beside=fresh)
    again.load(kept)
    assert float(fresh.value) == 7
    again.take(2)  # the variable is 0 now
    again.put()
    assert float(other) == pytest.approx((0.5 * 3 + 0) / 1.5)
