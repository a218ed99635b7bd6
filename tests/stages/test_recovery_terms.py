"""The terms of the recovery loss, against sums written out, NumPy, and what `wmdd.ot` computes."""

import numpy as np
import pytest
import torch

from memory_context import MemoryContext
from wmdd import ot
from wmdd.ot.alternatives.mmd import rbf_objective
from wmdd.settings import RecoverSettings
from wmdd.stages.recover import recover
from wmdd.stages.recovery.forward import Forward, TeacherForward
from wmdd.stages.recovery.groups import Targets
from wmdd.stages.recovery.loss import GroupLoss, Term
from wmdd.stages.recovery.mmd import linear_discrepancy, rbf_discrepancy
from wmdd.stages.recovery.terms import LISTS, layer_norms, squared_distance, squared_terms
from wmdd.values import Barycenters, ClassStatistics, ImageSet, Teacher


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


def test_a_further_term_of_the_list_is_a_column_of_the_log(
    image_set: ImageSet,
    teacher: Teacher,
    class_statistics: ClassStatistics,
    barycenters: Barycenters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def brightness(forward: TeacherForward) -> torch.Tensor:
        return forward.views.mean().square()

    def with_brightness(targets: Targets, settings: RecoverSettings) -> list[Term[TeacherForward]]:
        return [*squared_terms(targets, settings), Term(name="brightness_loss", weight=0.5, value=brightness)]

    monkeypatch.setitem(LISTS, "squared", with_brightness)
    ctx = MemoryContext()
    recover(image_set, teacher, class_statistics, barycenters, RecoverSettings(iterations=3), ctx=ctx)
    for row in ctx.rows:
        assert row["brightness_loss"] > 0
        terms = row["feature_loss"] + row["bn_loss"] + 0.5 * row["brightness_loss"]
        assert row["loss"] == pytest.approx(terms, rel=1e-5)


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
