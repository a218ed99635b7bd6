"""What is done with a distilled set to measure what it teaches: training, learned steps, kernel regression."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.data.inputs import distilled_inputs
from wmdd.data.loading import batch_spans
from wmdd.data.whitening import whitened
from wmdd.errors import ConfigError
from wmdd.evaluation.own_temperature import OwnTemperature
from wmdd.evaluation.protocols import Procedure
from wmdd.evaluation.students import Student
from wmdd.evaluation.supervision import StudentBatches, Supervision, student_loss, whitening_on
from wmdd.models.batchnorm import batchnorm_layers
from wmdd.models.building import fresh_network, resolve_spec
from wmdd.training.kernels import kernel_named
from wmdd.training.loop import Task, fit
from wmdd.training.ntk import KernelFunction, centred_classes, kernel_regression
from wmdd.training.unroll import schedule, unroll, xavier_start
from wmdd.values import DistilledSet

Test = Callable[[nn.Module], Mapping[str, float]]
"""Network in eval mode → its accuracies."""
History = Sequence[Mapping[str, float]]
"""Accuracies during training, the last ones after the last epoch."""


def train(student: Student, supervision: Supervision, test: Test, ctx: Context) -> History:
    """Train a student by its protocol and return its tests.

    Raises:
        ConfigError: the architecture is unknown.
    """
    own = OwnTemperature(student.temperature) if student.protocol.fitted and student.labels == "soft" else None
    task = Task(
        name=student.name,
        steps=len(batch_spans(len(supervision.distilled.labels), student.training.batch)),
        batches=StudentBatches(student, supervision, ctx),
        loss=student_loss(student, supervision, own),
        test=test,
        tests=student.tests,
        carried={} if own is None else own.carried,
        after=None if own is None else own.follow,
    )
    return fit(_fresh(student, supervision, ctx), task, student.training, ctx=ctx).history


def take_steps(student: Student, supervision: Supervision, test: Test, ctx: Context) -> History:
    """Take the steps that the set has learned (DD), from fresh weights as in `xavier_start`, and return one test.

    Step t is plain gradient descent of length `rates[t]` on the cross-entropy of image t mod ipc of every class.

    Raises:
        ConfigError: the network has BatchNorm, or the set no rates.
    """
    distilled, model = supervision.distilled, _fresh(student, supervision, ctx)
    if batchnorm_layers(model):
        raise ConfigError(
            f"a set's own steps are for students without BatchNorm; got {student.arch}; use one such as convnet3"
        )
    if distilled.rates is None:
        raise ConfigError(
            f"a set's own steps need its learned rates; got a {distilled.method} set without; use another protocol"
        )
    images = whitened(distilled_inputs(distilled, slice(None), ctx.device), whitening_on(distilled, ctx.device))
    steps = schedule(images, distilled.labels.to(ctx.device), ipc=distilled.ipc, steps=len(distilled.rates))
    start = xavier_start(model, ctx.generator("own weights", student.arch, student.seed))
    weights = unroll(model.eval(), start, steps, distilled.rates.to(ctx.device), create_graph=False)
    model.load_state_dict({**model.state_dict(), **weights})
    return _only_test(student, model, test, ctx)


def regress(student: Student, supervision: Supervision, test: Test, ctx: Context) -> History:
    """Solve the kernel regression on the set (KIP) and return one test."""
    return _only_test(
        student, KernelRegression(supervision.distilled, kernel_named(student.kernel), ctx.device).eval(), test, ctx
    )


PROCEDURES: Mapping[Procedure, Callable[[Student, Supervision, Test, Context], History]] = {
    "training": train,
    "steps": take_steps,
    "kernel": regress,
}


class KernelRegression(nn.Module):
    """Predicts as a wide network trained to convergence on a set would: on its targets if any, else on its classes."""

    def __init__(self, distilled: DistilledSet, kernel: KernelFunction, device: torch.device) -> None:
        super().__init__()
        targets = distilled.targets
        if targets is None:
            targets = centred_classes(distilled.labels, len(distilled.classes))
        self._support = whitened(distilled_inputs(distilled, slice(None), device), whitening_on(distilled, device))
        self._targets = targets.to(device)
        self._kernel = kernel

    def forward(self, images: Tensor) -> Tensor:
        """Return float64 outputs `(B, C)` for images as students see them."""
        with torch.autocast(images.device.type, enabled=False):
            return kernel_regression(self._support, self._targets, images, kernel=self._kernel)


def _fresh(student: Student, supervision: Supervision, ctx: Context) -> nn.Module:
    """Return the untrained network; its weights depend only on seeds and architecture, not on the set."""
    distilled = supervision.distilled
    spec = resolve_spec(
        student.arch,
        num_classes=len(distilled.classes),
        channels=distilled.images.shape[1],
        image_size=distilled.image_size,
        stem=supervision.stem,
    )
    model = fresh_network(spec, ctx, "weights", student.arch, student.seed)
    return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _only_test(student: Student, model: nn.Module, test: Test, ctx: Context) -> History:
    figures = test(model)
    ctx.log(unit=student.name, **figures)
    ctx.progress(student.number + 1, student.total)
    return (figures,)
