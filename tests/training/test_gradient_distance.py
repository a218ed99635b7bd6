"""The distance of gradients, against loops and known answers."""

import pytest
import torch
from torch import Tensor

from wmdd.training.gradients import gradient_distance

SHAPES = ((4, 3, 3, 3), (4,), (5, 2, 2), (6, 7), (6,))


def drawn(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES]


def test_rows_agree_with_a_plain_loop() -> None:
    found, wanted = drawn(1), drawn(2)
    expected = 0.0
    for one, other in zip(found, wanted, strict=True):
        if one.ndim == 1:
            continue
        for row in range(one.shape[0]):
            a, b = one[row].flatten().tolist(), other[row].flatten().tolist()
            dot = sum(x * y for x, y in zip(a, b, strict=True))
            lengths = sum(x * x for x in a) ** 0.5 * sum(y * y for y in b) ** 0.5
            expected += 1 - dot / (lengths + 1e-6)
    assert float(gradient_distance(found, wanted)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("form", "opposite"), [("rows", 2 * (4 + 5 + 6)), ("cos", 2.0)])
def test_equal_gradients_are_at_zero_and_opposite_ones_at_the_most(form: str, opposite: float) -> None:
    gradient = drawn(3)
    assert float(gradient_distance(gradient, gradient, form)) == pytest.approx(0, abs=1e-5)
    assert float(gradient_distance(gradient, [-part for part in gradient], form)) == pytest.approx(opposite, rel=1e-5)
    longer = [3 * part for part in gradient]
    assert float(gradient_distance(gradient, longer, form)) == pytest.approx(0, abs=1e-5)


def test_whole_vectors_agree_with_plain_sums() -> None:
    found, wanted = drawn(1), drawn(2)
    one, other = (torch.cat([part.flatten() for part in parts]) for parts in (found, wanted))
    assert float(gradient_distance(found, wanted, "mse")) == pytest.approx(float(((one - other) ** 2).sum()))
    cosine = float(one @ other / (one.norm() * other.norm()))
    assert float(gradient_distance(found, wanted, "cos")) == pytest.approx(1 - cosine, abs=1e-6)


def test_biases_do_not_count_in_rows_but_do_in_whole_vectors() -> None:
    found, wanted = drawn(1), drawn(2)
    moved = [part + 1 if part.ndim == 1 else part for part in found]
    assert float(gradient_distance(moved, wanted)) == float(gradient_distance(found, wanted))
    for form in ("mse", "cos"):
        assert float(gradient_distance(moved, wanted, form)) != float(gradient_distance(found, wanted, form))


@pytest.mark.parametrize("form", ["rows", "mse", "cos"])
def test_derivatives_are_right(form: str) -> None:
    wanted = drawn(2)
    given = [part.requires_grad_() for part in drawn(1)]
    assert torch.autograd.gradcheck(lambda *parts: gradient_distance(parts, wanted, form), given)


def test_rows_of_dead_units_do_not_spoil_the_derivative() -> None:
    found = [torch.tensor([[0.0, 0.0], [1.0, 2.0]], requires_grad=True)]
    value = gradient_distance(found, [torch.tensor([[0.0, 0.0], [2.0, 1.0]])])
    value.backward()
    assert found[0].grad is not None
    assert bool(torch.isfinite(found[0].grad).all())
    assert float(value.detach()) == pytest.approx(1 + 1 - 4 / 5, rel=1e-5)


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'angle'; use rows, mse or cos"):
        gradient_distance(drawn(1), drawn(2), "angle")
