"""Training dynamics: a network is trained as the teacher is, and its answers to each image are kept on the way.

As in Toneva et al., ICLR 2019 (arXiv:1812.05159), an image is judged whenever it is presented: by the answer that the
network gives, in train mode, to the view that it is about to learn from. So the answers cost nothing beside the
training itself. The network is a sibling of the teacher: the same settings and seed, random streams of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from wmdd.context import Context
from wmdd.data.inputs import Normalisation
from wmdd.models.building import network_spec
from wmdd.settings import SqueezeSettings
from wmdd.stages.given_teacher import moments_for
from wmdd.stages.squeeze import begin, teacher_task
from wmdd.stages.stage import Stage
from wmdd.training.loop import Batch, Task, fit
from wmdd.values import ImageSet, TrainingDynamics
from wmdd.values.dynamics import PROBABILITY, RIGHT


def dynamics(train: ImageSet, settings: SqueezeSettings, *, ctx: Context | None = None) -> TrainingDynamics:
    """Return how a network answered `train` while it was trained as `squeeze` trains the teacher.

    The unit of work is an epoch. A network is trained whatever the teacher is: where settings name a checkpoint, or
    pretrained weights of these very classes, this one begins with fresh weights.

    Raises:
        ConfigError: the architecture is unknown.
        NumericsError: the training diverged.
    """
    ctx = ctx or Context()
    spec = network_spec(settings.arch, train, settings.stem)
    start = begin(train, spec, settings, ctx)
    if start.complete:
        start = begin(train, spec, settings.without_checkpoint().with_(pretrained=False), ctx)
    mean, std = moments_for(start.given, train)
    form = Normalisation(image_size=spec.image_size, mean=mean, std=std)
    record = _Record(answers=ctx.array("answers", (settings.epochs, 2, len(train))))
    fit(start.model, record.watch(teacher_task(train, form, settings, ctx)), settings, ctx=ctx)
    found = TrainingDynamics(labels=train.labels, answers=record.answers)
    events, learned = found.events, found.learned
    ctx.log(
        unit="images",
        never_learned=int((learned == 0).sum()),
        never_forgotten=int(((learned > 0) & (events == 0)).sum()),
        events=int(events.sum()),
    )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """Keeps the answers of an epoch on the device and writes them when it ends: no step waits for the CPU."""

    answers: Tensor
    """`(E, 2, N)` of `TrainingDynamics`."""
    latest: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """Of each batch of this epoch: positions `(B,)` on the CPU, answers `(2, B)` on the device."""

    def watch(self, task: Task) -> Task:
        """Return the same task, with every answer recorded; saved state covers what is recorded."""

        def batches(epoch: int) -> Iterator[Batch]:
            self.latest.clear()
            yield from task.batches(epoch)
            self._write(epoch)  # asked for a further batch, so the step on the last one is done

        def loss(logits: Tensor, batch: Batch) -> Tensor:
            self._take(logits.detach(), batch)
            return task.loss(logits, batch)

        return replace(
            task,
            name="recorded network",
            batches=batches,
            loss=loss,
            rows=lambda epochs: self.answers[:epochs],
        )

    def _take(self, logits: Tensor, batch: Batch) -> None:
        assert batch.positions is not None
        answers = torch.empty(2, len(logits), device=logits.device)
        answers[RIGHT] = (logits.argmax(1) == batch.targets).float()
        answers[PROBABILITY] = logits.softmax(1).gather(1, batch.targets[:, None])[:, 0]
        self.latest.append((batch.positions, answers))

    def _write(self, epoch: int) -> None:
        row = self.answers[epoch]
        row.fill_(torch.nan)
        row[:, torch.cat([positions for positions, _ in self.latest])] = torch.cat(
            [answers for _, answers in self.latest], dim=1
        ).cpu()


DYNAMICS = Stage(name="dynamics", version=1, run=dynamics, output=TrainingDynamics)
