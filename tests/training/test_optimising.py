"""The loop in which images are optimised: its steps are the optimiser's, and a kill changes nothing."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.errors import NumericsError
from wmdd.training.divergence import Rise, warn_of_rises
from wmdd.training.images import Descent, Loss, Losses, Variable, Variables, optimise
from wmdd.training.pixels import unbounded_set
from wmdd.values import Teacher

TARGET = torch.tensor([3.0, -1.0])
SGD = partial(torch.optim.SGD, momentum=0.5)


def start() -> dict[str, Variable]:
    return {"images": Variable(start=torch.zeros(2), lr=0.1), "rate": Variable(start=torch.ones(1), lr=0.01)}


def bowl(iteration: int, variables: Variables) -> Tensor:
    del iteration
    return (variables["images"] - TARGET).square().sum() * variables["rate"].sum()


def run(loss: Loss = bowl, ctx: Context | None = None, **changes: Any) -> dict[str, Tensor]:
    given = {"unit": "unit", "iterations": 12, "optimiser": SGD, **changes}
    return optimise(start(), loss, Descent(**given), ctx=ctx or Context())


@pytest.mark.parametrize("optimiser", [SGD, torch.optim.SGD, partial(torch.optim.Adam, betas=(0.5, 0.999))])
def test_steps_are_the_optimisers_with_a_rate_for_each_variable(optimiser: Any) -> None:
    found = run(optimiser=optimiser, schedule=lambda iteration: 0.5 ** (iteration // 4))
    images, rate = torch.zeros(2, requires_grad=True), torch.ones(1, requires_grad=True)
    reference = optimiser([{"params": [images], "lr": 0.1}, {"params": [rate], "lr": 0.01}])
    for iteration in range(12):
        for group, lr in zip(reference.param_groups, (0.1, 0.01), strict=True):
            group["lr"] = lr * 0.5 ** (iteration // 4)
        reference.zero_grad()
        bowl(iteration, {"images": images, "rate": rate}).backward()
        reference.step()
    assert torch.equal(found["images"], images.detach())
    assert torch.equal(found["rate"], rate.detach())
    assert not found["images"].requires_grad


def test_the_terms_of_a_sum_are_the_sum() -> None:
    def terms(iteration: int, variables: Variables) -> Iterator[Tensor]:
        for at in range(2):
            yield (variables["images"][at] - TARGET[at]).square() * variables["rate"].sum()

    ctx, other = MemoryContext(), MemoryContext()
    found, expected = run(terms, ctx), run(bowl, other)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
    assert [row["loss"] for row in ctx.rows] == pytest.approx([row["loss"] for row in other.rows])


def test_the_terms_of_a_loss_are_columns_of_the_log() -> None:
    def parts(iteration: int, variables: Variables) -> Losses:
        return Losses(total=bowl(iteration, variables), columns={"some_loss": torch.tensor(2.0 * iteration)})

    ctx = MemoryContext()
    found = run(parts, ctx)
    assert all(torch.equal(found[name], value) for name, value in run().items())
    assert [row["some_loss"] for row in ctx.rows] == [2.0 * iteration for iteration in range(12)]


def test_a_parameter_of_a_network_in_the_loss_gets_no_gradient() -> None:
    weight = torch.ones(1, requires_grad=True)
    run(lambda iteration, variables: bowl(iteration, variables) * weight.sum())
    assert weight.grad is None


def test_projection_follows_every_step() -> None:
    found = run(project=lambda variables: variables["images"].clamp_(-0.5, 0.5), iterations=4)
    assert found["images"].tolist() == [0.5, -0.5]


class Counting:
    """A loss that remembers how often it was asked, and moves its target with that."""

    def __init__(self) -> None:
        self.asked = torch.zeros(1)

    def __call__(self, iteration: int, variables: Variables) -> Tensor:
        self.asked += 1
        assert int(self.asked) == iteration + 1
        return (variables["images"] - self.asked).square().sum()

    def tensors(self) -> Mapping[str, Tensor]:
        return {"asked": self.asked}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        self.asked = tensors["asked"].clone()


@pytest.mark.parametrize("optimiser", [SGD, torch.optim.Adam])
@pytest.mark.parametrize("dies_after", [1, 5, 12])
def test_a_kill_changes_nothing(dies_after: int, optimiser: Any) -> None:
    loss = Counting()
    whole = run(loss, optimiser=optimiser, carried=loss)
    first = Counting()
    ctx = MemoryContext(dies_after=dies_after)
    with pytest.raises(KilledError):
        run(first, ctx, optimiser=optimiser, carried=first)
    second, again = Counting(), ctx.again()
    found = run(second, again, optimiser=optimiser, carried=second)
    for name, value in whole.items():
        assert torch.equal(found[name], value)
    assert len(again.rows) == 12 - dies_after


def test_a_finished_unit_keeps_its_variables_alone() -> None:
    ctx = MemoryContext()
    run(ctx=ctx)
    assert set(ctx.kept["unit"].tensors) == {"variable/images", "variable/rate"}
    assert ctx.steps == [(done, 12) for done in range(1, 13)]
    assert [row["step"] for row in ctx.rows] == list(range(1, 13))


def test_a_part_counts_on_and_averages_its_own_steps_alone() -> None:
    """Plain SGD with momentum, in steps 4 to 6 of 12: the rate of these steps, a fresh optimiser, a name of its own."""
    ctx, seen = MemoryContext(), []

    def noting(iteration: int, variables: Variables) -> Tensor:
        seen.append(iteration)
        return bowl(iteration, variables)

    found = run(noting, ctx, part=(4, 7), ema=0.5, schedule=lambda iteration: 0.5**iteration)
    images, rate, average = torch.zeros(2), torch.ones(1), torch.zeros(2)
    speeds, total = (torch.zeros(2), torch.zeros(1)), 0.0
    for iteration in range(4, 7):
        slopes = 2 * (images - TARGET) * rate, (images - TARGET).square().sum()[None]
        speeds = tuple(0.5 * speed + slope for speed, slope in zip(speeds, slopes, strict=True))
        images, rate = images - 0.1 * 0.5**iteration * speeds[0], rate - 0.01 * 0.5**iteration * speeds[1]
        average, total = 0.5 * average + images, 0.5 * total + 1.0
    torch.testing.assert_close(found["images"], average / total)
    assert seen == [4, 5, 6, 4]  # the first one again, to compare
    assert [row["step"] for row in ctx.rows] == [5, 6, 7]
    assert set(ctx.kept) == {"unit, steps 4 to 7"}
    assert ctx.steps == [(done, 12) for done in (5, 6, 7)]


def test_about_a_hundred_rows() -> None:
    ctx = MemoryContext()
    run(ctx=ctx, iterations=350, optimiser=partial(torch.optim.SGD, lr=0.0))
    assert 100 <= len(ctx.rows) <= 120
    assert ctx.rows[-1]["step"] == 350


def of_infinity(iteration: int, variables: Variables) -> Tensor:
    return variables["images"].sum() * float("inf")


def of_root(iteration: int, variables: Variables) -> Tensor:
    at_zero = (variables["images"] - variables["images"].detach()).sum().abs()
    return bowl(iteration, variables) + (at_zero.sqrt() if iteration == 3 else at_zero)


def of_term(iteration: int, variables: Variables) -> Losses:
    total = bowl(iteration, variables) / float(iteration != 4)
    return Losses(total=total, columns={"fine": torch.ones(()), "bn_loss": total.detach()})


def of_solver(iteration: int, variables: Variables) -> Tensor:
    if iteration == 5:
        torch.linalg.inv(torch.zeros(2, 2))
    return bowl(iteration, variables)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            of_infinity,
            "got nan in the loss of iteration 1, the first value that was not finite; no step was taken before it:",
        ),
        (of_root, "got nan in the gradient of the images of iteration 4, the first .* finite; less haste"),
        (of_term, "got inf in bn_loss of iteration 5, the first value that was not finite; less haste"),
        (of_solver, "got no solution after iteration 5; less haste"),
    ],
)
def test_divergence_says_what_was_not_finite_first(loss: Loss, message: str) -> None:
    with pytest.raises(NumericsError, match=f"optimisation of unit diverged; {message}") as caught:
        run(loss, advice="less haste", iterations=350)
    assert "\n" not in str(caught.value)


def test_a_last_step_that_is_too_long_is_said() -> None:
    def of_last_step(iteration: int, variables: Variables) -> Tensor:
        return (variables["images"] - TARGET).square().sum() * 10.0 ** (-20 if iteration < 11 else 30)

    with pytest.raises(NumericsError, match="unit diverged; got loss .* after its last iteration; less haste"):
        run(of_last_step, advice="less haste")


def climbing(iteration: int, variables: Variables) -> Tensor:
    """A bowl so narrow that every step overshoots."""
    return 50.0 * (variables["images"] - TARGET).square().sum()


def test_a_loss_that_ends_above_its_start_is_said_whenever_the_result_is_known() -> None:
    ctx = MemoryContext()
    run(climbing, ctx, advice="less haste")
    (warning,) = ctx.warnings
    assert (warning.kind, warning.count) == ("risen loss", 1)
    assert re.fullmatch(r"notebook: the loss of unit ended at .*, above 500 at its start; less haste", warning.text)
    again = ctx.again()
    run(climbing, again, advice="less haste")
    assert (again.rows, again.warnings) == ([], [warning])
    dying = MemoryContext(dies_after=7)
    with pytest.raises(KilledError):
        run(climbing, dying, advice="less haste")
    resumed = dying.again()
    run(climbing, resumed, advice="less haste")
    assert resumed.warnings == [warning]


def test_a_loss_that_falls_or_stays_is_not_mentioned() -> None:
    ctx = MemoryContext()
    run(bowl, ctx)
    run(lambda _, variables: 0 * variables["images"].sum() + 1, ctx, unit="flat")
    assert ctx.warnings == []


def test_units_whose_loss_rose_are_said_together() -> None:
    ctx, rises = MemoryContext(), list[Rise]()
    for unit in ("one", "two"):
        run(climbing, ctx, unit=unit, rises=rises)
    assert ctx.warnings == []
    warn_of_rises(rises, 3, "less haste", ctx)
    (warning,) = ctx.warnings
    assert (warning.kind, warning.count) == ("risen loss", 2)
    assert "the loss of 2 of 3 groups, most that of one, ended" in warning.text


def test_an_unbounded_set_keeps_images_exactly_and_as_pixels(teacher: Teacher) -> None:
    images = 4 * torch.randn(6, 3, 8, 8)
    found = unbounded_set("some", images, teacher)
    assert found.exact is not None
    assert torch.equal(found.exact, images)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (teacher.mean, teacher.std))
    assert torch.equal(found.images, ((images * std + mean).clamp(0, 1) * 255).round().to(torch.uint8))
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.weights.tolist() == [0.5] * 6
    assert (found.method, found.classes, found.ipc) == ("some", teacher.classes, 2)
