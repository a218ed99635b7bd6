"""What makes up a protocol."""

from dataclasses import dataclass
from typing import Literal

from wmdd.settings import NO_DSA, TrainSettings, ViewSettings

FULL_DATA_SET = "full data"
"""What scores of students that were trained on all real images give as their set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationProtocol:
    """One way of finding out what M distilled images teach."""

    name: str
    summary: str
    source: str
    labels: Literal["stored", "online", "hard"]
    """stored = replay the relabelled views; online = ask the teachers for each fresh view; hard = what the set brings
    itself: its fixed targets, or else the classes alone."""
    training: TrainSettings
    views: ViewSettings
    batches: tuple[tuple[int, int], ...]
    """(IPC up to which, batch) in rising order; the last one holds beyond."""
    many_classes: int = 1
    """Factor on the batch from 100 classes on."""
    loss: Literal["kl", "mse"] = "kl"
    """Of soft labels: divergence at `temperature`, or mean squared error of the logits."""
    temperature: float = 20.0
    class_weight: float = 0.0
    """Weight of a cross-entropy with the classes that is added to the loss of soft labels."""
    dsa: str = NO_DSA
    """Strategy of differentiable Siamese augmentation that is applied after the views, drawn for each image."""
    patches: int = 1
    """Images are cut into so many patches a side, which change places, before a view is taken (RDED); 1 = never."""
    batch_statistics: bool = False
    """Whether teachers that are asked online normalise by the statistics of the student's batch, not by their own."""
    learned_rate: bool = False
    """Whether a set that has learned one rate for students replaces the learning rate by it (MTT)."""
    way: Literal["training", "kernel", "own"] = "training"
    """training = a student is trained as the other fields say; kernel = no student, kernel regression on the set; own =
    as the set's method has it: kernel regression, its learned steps, or else training."""

    def batch(self, ipc: int, num_classes: int) -> int:
        """Return the batch for a set of `ipc` images of each of `num_classes` classes; never more than all of them."""
        size = next((batch for upto, batch in self.batches if ipc <= upto), self.batches[-1][1])
        if num_classes >= 100:
            size *= self.many_classes
        return min(size, ipc * num_classes)

    def settings(self, ipc: int, num_classes: int, epochs: int | None = None) -> TrainSettings:
        """Return the training settings for such a set; `epochs` replaces the protocol's own."""
        return self.training.with_(batch=self.batch(ipc, num_classes), epochs=epochs or self.training.epochs)
