"""Learning rate, optimisers, losses and the training loop."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memory_context import KilledError, MemoryContext
from wmdd.context import Context, seeded, stream
from wmdd.errors import NumericsError
from wmdd.settings import TrainSettings
from wmdd.training.loop import Batch, Task, Trained, fit
from wmdd.training.loop import test_epochs as epochs_to_test
from wmdd.training.losses import distillation_loss, label_loss
from wmdd.training.optim import build_optimiser, learning_rate


def settings(**changes: object) -> TrainSettings:
    return TrainSettings(**{"epochs": 4, "batch": 8, "lr": 0.05, **changes})


def network() -> nn.Module:
    """Return a network with BatchNorm and dropout, whose state is hardest to keep."""
    torch.manual_seed(7)
    body = [nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3)]
    return nn.Sequential(*body, nn.Linear(64, 3))


def batches(epoch: int) -> Iterator[Batch]:
    for step in range(3):
        draws = stream(5, epoch, step)
        labels = torch.randint(3, (8,), generator=draws)
        yield Batch(images=torch.randn(8, 2, 4, 4, generator=draws) + labels.view(-1, 1, 1, 1), targets=labels)


def figures(model: nn.Module) -> dict[str, float]:
    assert not model.training
    return {"top1": float(sum(value.double().sum() for value in model.state_dict().values()))}


def task(epochs: int = 4) -> Task:
    return Task(
        name="net",
        steps=3,
        batches=batches,
        loss=lambda logits, batch: label_loss(logits, batch.targets),
        test=figures,
        tests=epochs_to_test(epochs, 2),
    )


def state(trained: Trained) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trained.model.state_dict().items()}


def assert_same_state(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("changes", "epoch", "done", "expected"),
    [
        ({"epochs": 10, "lr": 0.2}, 0, 0.1, 0.2),
        ({"epochs": 10, "lr": 0.2}, 5, 5.5, 0.1),
        ({"epochs": 10, "lr": 0.2}, 9, 10.0, 0.1 * (1 + math.cos(0.9 * math.pi))),
        ({"epochs": 10, "lr": 0.2, "zeta": 2.0}, 5, 5.5, 0.1 * (1 + math.sqrt(0.5))),
        ({"epochs": 10, "lr": 0.2, "warmup": 2.0}, 0, 0.5, 0.05),
        ({"epochs": 10, "lr": 0.2, "warmup": 0.5}, 5, 5.5, 0.1),
        ({"epochs": 10, "lr": 0.2, "schedule": "step"}, 5, 5.5, 0.2),
        ({"epochs": 10, "lr": 0.2, "schedule": "step"}, 6, 6.5, 0.02),
    ],
)
def test_learning_rate_has_known_values(changes: dict[str, float], epoch: int, done: float, expected: float) -> None:
    assert learning_rate(settings(**changes), epoch, done) == pytest.approx(expected, rel=1e-12)


def test_learning_rate_with_double_zeta_ends_at_half() -> None:
    assert learning_rate(settings(epochs=1000, lr=1.0, zeta=2.0), 1000, 1000.0) == pytest.approx(0.5)
    assert learning_rate(settings(epochs=1000, lr=1.0), 1000, 1000.0) == pytest.approx(0.0, abs=1e-12)


def test_adamw_decays_matrices_only() -> None:
    groups = build_optimiser(network(), settings(optimiser="adamw", weight_decay=0.3)).param_groups
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]
    assert {parameter.ndim > 1 for parameter in groups[0]["params"]} == {True}
    assert {parameter.ndim > 1 for parameter in groups[1]["params"]} == {False}
    assert sum(len(group["params"]) for group in groups) == len(list(network().parameters()))


def test_sgd_takes_momentum_and_decay_from_the_settings() -> None:
    (group,) = build_optimiser(network(), settings(momentum=0.7, weight_decay=0.01)).param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.05, 0.7, 0.01)


def test_distillation_loss_equals_the_definition_term_by_term() -> None:
    student, teacher = torch.randn(5, 4).double(), 3 * torch.randn(5, 4).double()
    weights, temperature = torch.tensor([0.1, 0.4, 0.2, 0.3, 0.9]), 2.5
    total = 0.0
    for row in range(5):
        ours = [math.exp(value / temperature) for value in student[row].tolist()]
        theirs = [math.exp(value / temperature) for value in teacher[row].tolist()]
        p = [value / sum(theirs) for value in theirs]
        q = [value / sum(ours) for value in ours]
        divergence = sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
        total += float(weights[row]) * divergence / 5
    found = distillation_loss(student.float(), teacher.float(), weights, temperature)
    assert float(found) == pytest.approx(total, rel=1e-5)


def test_distillation_loss_is_zero_when_equal_ignores_shifts_and_is_linear_in_weights() -> None:
    logits, other = torch.randn(6, 3), torch.randn(6, 3)
    weights = torch.rand(6) + 0.1
    assert float(distillation_loss(logits + 2, logits, weights, 20.0)) == pytest.approx(0.0, abs=1e-7)
    torch.testing.assert_close(
        7 * distillation_loss(logits, other, weights, 2.0), distillation_loss(logits, other, 7 * weights, 2.0)
    )


def test_label_loss_takes_labels_and_probabilities_alike() -> None:
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    torch.testing.assert_close(label_loss(logits, labels), label_loss(logits, torch.eye(3)[labels]))
    smooth = 0.9 * torch.eye(3)[labels] + 0.1 / 3
    torch.testing.assert_close(label_loss(logits, labels, 0.1), label_loss(logits, smooth))


@pytest.mark.parametrize(
    ("epochs", "tests", "expected"),
    [(10, 5, {2, 4, 6, 8, 10}), (10, 1, {10}), (7, 3, {2, 5, 7}), (2, 5, {1, 2}), (1, 5, {1}), (3, 3, {1, 2, 3})],
)
def test_tests_are_spread_evenly_and_include_the_last_epoch(epochs: int, tests: int, expected: set[int]) -> None:
    assert epochs_to_test(epochs, tests) == expected


def test_fit_learns_tests_and_logs() -> None:
    ctx = MemoryContext()
    trained = fit(network(), task(), settings(), ctx=ctx)
    assert [row["epoch"] for row in trained.history] == [2, 4]
    assert [row["epoch"] for row in ctx.rows] == [1, 2, 3, 4]
    assert ctx.rows[-1]["loss"] < ctx.rows[0]["loss"]
    assert "top1" in ctx.rows[1]
    assert "top1" not in ctx.rows[0]
    assert not trained.model.training


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("killed_after", [1, 3])
def test_killed_and_resumed_training_equals_unbroken_bit_for_bit(optimiser: str, ema: float, killed_after: int) -> None:
    chosen = settings(optimiser=optimiser, ema=ema, warmup=1.5)
    unbroken = fit(network(), task(), chosen, ctx=Context())
    dying = MemoryContext(dies_after=killed_after)
    with pytest.raises(KilledError):
        fit(network(), task(), chosen, ctx=dying)
    second = dying.again()
    resumed = fit(network(), task(), chosen, ctx=second)
    assert [row["epoch"] for row in second.rows] == list(range(killed_after + 1, 5))
    assert_same_state(state(resumed), state(unbroken))
    assert resumed.history == unbroken.history


def test_the_moving_average_is_what_is_returned() -> None:
    plain = state(fit(network(), task(), settings(), ctx=Context()))
    averaged = state(fit(network(), task(), settings(ema=0.9), ctx=Context()))
    assert averaged.keys() == plain.keys()
    assert not torch.equal(averaged["5.weight"], plain["5.weight"])
    start = network().state_dict()["5.weight"]
    assert (averaged["5.weight"] - start).norm() < (plain["5.weight"] - start).norm()


def test_the_step_schedule_begins_with_a_new_optimiser_past_half() -> None:
    batch = Batch(images=torch.tensor([[1.0]]), targets=torch.tensor([0]))
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    seen: list[float] = []

    def loss(logits: Tensor, _: Batch) -> Tensor:
        seen.append(float(logits.detach()))
        return logits.sum()  # the gradient is 1

    one = Task(name="net", steps=1, batches=lambda _: [batch], loss=loss, test=lambda _: {}, tests=frozenset({4}))
    chosen = settings(epochs=4, lr=1.0, momentum=0.5, weight_decay=0.0, schedule="step")
    fit(model, one, chosen, ctx=Context())
    # Steps of 1, 1.5 and 1.75 with momentum; the fourth, at a tenth of the rate, has lost it.
    assert [*seen, float(model.weight.detach())] == pytest.approx([0.0, -1.0, -2.5, -4.25, -4.35])


@pytest.mark.parametrize("killed_after", [2, 3])
def test_the_step_schedule_resumes_bit_for_bit(killed_after: int) -> None:
    chosen = settings(epochs=4, schedule="step")
    unbroken = fit(network(), task(), chosen, ctx=Context())
    dying = MemoryContext(dies_after=killed_after)
    with pytest.raises(KilledError):
        fit(network(), task(), chosen, ctx=dying)
    assert_same_state(state(fit(network(), task(), chosen, ctx=dying.again())), state(unbroken))


def test_one_sgd_step_equals_the_formula() -> None:
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    batch = Batch(images=torch.tensor([[1.0, -2.0]]), targets=torch.tensor([0]))
    one = Task(
        name="net",
        steps=1,
        batches=lambda _: [batch],
        loss=lambda logits, _: logits[:, 0].sum(),
        test=lambda _: {},
        tests=frozenset({1}),
    )
    fit(model, one, settings(epochs=1, lr=0.1, weight_decay=0.0), ctx=Context())
    torch.testing.assert_close(model.weight.detach(), before - 0.1 * torch.tensor([[1.0, -2.0], [0.0, 0.0]]))


def test_dropout_depends_on_the_seed_alone_and_the_global_stream_stays() -> None:
    torch.manual_seed(11)
    one_model, other_model, third_model = network(), network(), network()
    torch.manual_seed(12)
    before = torch.get_rng_state()
    one = state(fit(one_model, task(), settings(), ctx=Context(seed=1)))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(13)
    assert_same_state(state(fit(other_model, task(), settings(), ctx=Context(seed=1))), one)
    third = state(fit(third_model, task(), settings(), ctx=Context(seed=2)))
    assert not torch.equal(third["5.weight"], one["5.weight"])


def spoilt(epoch: int, *, images: bool = False, targets: bool = False) -> Iterator[Batch]:
    """Yield batches of which the second has something that is not finite in its third row."""
    for step, batch in enumerate(batches(epoch)):
        answers = torch.nn.functional.one_hot(batch.targets, 3).float()
        if step == 1:
            batch.images[2] = float("nan") if images else batch.images[2]
            answers[2] = float("inf") if targets else answers[2]
        yield replace(batch, targets=answers)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"loss": lambda logits, _: logits.sum() * float("nan")},
            r"training of net diverged; got loss nan first in step 1 of epoch 1, for finite images \(up to [0-9.]+\)"
            " and targets; lower the learning rate",
        ),
        (
            {"batches": partial(spoilt, images=True)},
            "training of net failed; got loss nan first in step 2 of epoch 1, whose images were not finite before, "
            "first one of class [012]; look at",
        ),
        (
            {"batches": partial(spoilt, targets=True)},
            "training of net failed; got loss (inf|nan) first in step 2 of epoch 1, whose targets were not finite",
        ),
    ],
)
def test_a_training_that_fails_says_what_was_not_finite_first(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(NumericsError, match=message) as caught:
        fit(network(), replace(task(), **changes), settings(), ctx=Context())
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_named_before_the_training() -> None:
    model = network()
    model[1].running_var[2] = float("nan")
    with pytest.raises(NumericsError, match=r"weights of net, before epoch 1, are not finite; got .* in 1.running_var"):
        fit(model, task(), settings(), ctx=Context())


def test_bf16_networks_are_trained_with_losses_in_fp32() -> None:
    seen: list[torch.dtype] = []

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        seen.append(logits.dtype)
        return label_loss(logits, batch.targets)

    half = Task(name="net", steps=3, batches=batches, loss=loss, test=figures, tests=frozenset({1}))
    fit(network(), half, settings(epochs=1), ctx=Context(precision="bf16"))
    assert set(seen) == {torch.float32}


def test_seeded_lends_the_global_stream() -> None:
    before = torch.get_rng_state()
    with seeded(4, torch.device("cpu")):
        one = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(4, torch.device("cpu")):
        assert torch.equal(torch.rand(3), one)
