"""The one training loop: squeeze and evaluate hand it a model and a task.

It saves its state when that is due and continues from there; stopped and resumed equals not stopped, because
every epoch draws its batches and its dropout from a stream of its own.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor, nn

from wmdd.context import Context, Saved, seeded, stream_seed
from wmdd.errors import NumericsError
from wmdd.settings import TrainSettings
from wmdd.training.averages import WeightAverage
from wmdd.training.finite import require_finite
from wmdd.training.optim import build_optimiser, cut_epoch, learning_rate, load_moments, moments


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Images `(B, ch, R, R)` on the device, what to learn from them, and weights `(B,)` or None.

    Weights have mean 1 over the whole set, not over the batch; positions in it, if given, are int64 `(B,)` on the CPU.
    """

    images: Tensor
    targets: Tensor
    weights: Tensor | None = None
    classes: Tensor | None = None
    """Probabilities `(B, C)` of the classes, where a loss needs them beside soft targets."""
    positions: Tensor | None = None
    temperature: float | None = None
    """Of the teacher's logits; None = that of the student's rules."""
    share: float = 1.0
    """Weight of its mean loss beside those of the other workers of a team, whose rows are others of the same step."""
    stretch: bool = False
    """Whether the targets are classes in place of the teacher's logits, see `EvaluationProtocol.stretch`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to train on, under which loss, and how to test."""

    name: str
    """Of the unit of work: names its saved state and its rows in the log."""
    steps: int
    """Batches of an epoch."""
    batches: Callable[[int], Iterable[Batch]]
    """Epoch → its batches."""
    loss: Callable[[Tensor, Batch], Tensor]
    """Logits, batch → scalar."""
    test: Callable[[nn.Module], Mapping[str, float]] = lambda _: {}
    """Model in eval mode → named figures."""
    tests: frozenset[int] = frozenset()
    """Epochs after which to test; the last one among them if there are any."""
    rows: Callable[[int], Tensor] = lambda _: torch.empty(0)
    """Number of epochs → the rows of a `Context.array` that they have written."""
    carried: dict[str, float] = field(default_factory=dict[str, float])
    """Numbers that the task changes from epoch to epoch; saved and restored with the weights."""
    after: Callable[[Tensor, Batch], None] | None = None
    """Called after each epoch with the logits and the targets of its last step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained model and the tests made during training, in order: `{"epoch": ..., ...}`."""

    model: nn.Module
    history: tuple[Mapping[str, float], ...]


class _Training:
    """What changes while a model is trained: weights, optimiser, moving average, epoch, history."""

    def __init__(self, model: nn.Module, settings: TrainSettings) -> None:
        self.model = model
        self.settings = settings
        self.optimiser = build_optimiser(model, settings)
        self.average = WeightAverage(model, settings.ema) if settings.ema else None
        self.epoch = 0
        self.history: list[Mapping[str, float]] = []
        self.forward = model
        """What batches pass through: the model, with those of the other workers of a team if there are any."""
        self.last: tuple[Tensor, Batch] | None = None
        """Logits and batch of the last step, where the task asks for them."""

    @property
    def tested(self) -> nn.Module:
        """The network whose accuracy counts."""
        return self.average.module if self.average is not None else self.model

    def tensors(self) -> dict[str, Tensor]:
        """Return all state as named tensors."""
        named = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.average is not None:
            named |= {f"average.{name}": value for name, value in self.average.tensors().items()}
        return named | {f"optimiser.{name}": value for name, value in moments(self.optimiser).items()}

    def load(self, saved: Saved) -> None:
        """Continue from what `tensors` gave."""
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimiser": {}}
        for name, value in saved.tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        self.model.load_state_dict(parts["model"])
        if self.average is not None:
            self.average.load(parts["average"])
        load_moments(self.optimiser, parts["optimiser"])
        self.epoch = int(saved.facts["epoch"])
        self.history = list(saved.facts["history"])


def fit(model: nn.Module, task: Task, settings: TrainSettings, *, ctx: Context) -> Trained:
    """Train `model`, freshly built, on `task`, under whose name the state is saved.

    Raises:
        NumericsError: the loss is not finite any more, or the weights are not from the beginning; the message says what
            was not finite first.
    """
    training = _Training(model, settings)
    saved = ctx.team.agree(ctx.restore(task.name, rows=lambda facts: task.rows(facts["epoch"])))
    if saved is not None:
        training.load(saved)
        task.carried.update(saved.facts.get("carried", {}))
    require_finite(
        f"the weights of {task.name}, before epoch {training.epoch + 1},",
        training.model.state_dict(),
        "give sound weights, or lower the learning rate if they were trained here",
    )
    training.forward = ctx.team.parallel(model)
    while training.epoch < settings.epochs:
        _epoch(training, task, ctx)
        if ctx.team.agree(ctx.due()) and training.epoch < settings.epochs:
            rows = task.rows(training.epoch)
            carried = {"carried": task.carried} if task.carried else {}
            ctx.save(
                task.name, training.tensors(), rows=rows, epoch=training.epoch, history=training.history, **carried
            )
    return Trained(model=training.tested.eval(), history=tuple(training.history))


def _epoch(training: _Training, task: Task, ctx: Context) -> None:
    epoch = training.epoch
    training.model.train()
    if training.settings.schedule == "step" and epoch == cut_epoch(training.settings):
        training.optimiser = build_optimiser(training.model, training.settings)  # without momentum, as in DC's code
    own = (ctx.team.rank,) if ctx.team.rank else ()  # of dropout: every worker of a team has other rows
    with seeded(stream_seed(ctx.seed, ctx.stage, task.name, epoch, *own), ctx.device):
        losses = ctx.team.mean(_losses(training, task, ctx))
    loss = float(losses.mean())
    if not math.isfinite(loss):
        raise _diverged(task, epoch, losses)
    if task.after is not None and training.last is not None:
        task.after(*training.last)
    training.epoch += 1
    figures: dict[str, float] = {}
    if training.epoch in task.tests:
        figures = dict(task.test(training.tested.eval()))
        training.history.append({"epoch": training.epoch, **figures})
    ctx.log(unit=task.name, epoch=training.epoch, loss=loss, **figures)


def _losses(training: _Training, task: Task, ctx: Context) -> Tensor:
    """Take the steps of an epoch and return their losses, `(steps,)`, on the device.

    They are one tensor from the beginning: small ones that stay between large ones that go would keep the memory of
    these from the system, more with every step.
    """
    losses = torch.empty(0, device=ctx.device)
    for step, batch in enumerate(task.batches(training.epoch)):
        loss = _step(training, task, batch, training.epoch + (step + 1) / task.steps, ctx)
        if step == 0:
            losses = loss.new_empty(task.steps)
        losses[step] = loss
    return losses


def _step(training: _Training, task: Task, batch: Batch, done: float, ctx: Context) -> Tensor:
    rate = learning_rate(training.settings, training.epoch, done)
    for group in training.optimiser.param_groups:
        group["lr"] = rate
    with ctx.team.step(), ctx.autocast():
        logits = training.forward(batch.images)
    loss = task.loss(logits.float(), batch) * batch.share
    if task.after is not None:
        training.last = (logits.detach().float(), batch)
    training.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    training.optimiser.step()
    if training.average is not None:
        training.average.follow(training.model)
    return loss.detach()


def _diverged(task: Task, epoch: int, losses: Tensor) -> NumericsError:
    """Return the error of an epoch, counted from 0, in which a loss was not finite: in which step, and what was first.

    Batches are made again, as they were, up to that step.
    """
    step = int((~torch.isfinite(losses)).nonzero()[0, 0])
    batch = next(islice(task.batches(epoch), step, None))
    where = f"got loss {float(losses[step])} first in step {step + 1} of epoch {epoch + 1}"
    for name, values in (("images", batch.images), ("targets", batch.targets)):
        bad = ~torch.isfinite(values.float()).flatten(1 if values.ndim > 1 else 0)
        if bool(bad.any()):
            row = int(bad.nonzero()[0, 0])
            answer = batch.targets[row]
            label = int(answer if answer.ndim == 0 else answer.nan_to_num().argmax())
            return NumericsError(
                f"training of {task.name} failed; {where}, whose {name} were not finite before, first one of class "
                f"{label}; look at where they come from: no learning rate helps"
            )
    largest = float(batch.images.abs().max())
    return NumericsError(
        f"training of {task.name} diverged; {where}, for finite images (up to {largest:.3g}) and targets; "
        "lower the learning rate"
    )


def test_epochs(epochs: int, tests: int) -> frozenset[int]:
    """Return the epochs after which to test: `tests` of them, or all, evenly spaced, the last one included."""
    tests = min(tests, epochs)
    return frozenset(round(epochs * (number + 1) / tests) for number in range(tests))
