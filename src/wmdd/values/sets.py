"""Distilled sets, and what is measured of them; shapes as in `wmdd.values`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from wmdd.settings import TangentKernel
from wmdd.values.classes import require_same_classes
from wmdd.values.showing import short_repr


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilledSet:
    """The product: K images per class with weights, class by class."""

    method: str
    images: Tensor
    """uint8 `(M, ch, R, R)`, class-major."""
    labels: Tensor
    """int64 `(M,)`."""
    weights: Tensor
    """float32 `(M,)`; they sum to 1 in each class. They count where a teacher labels, not with hard labels."""
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    exact: Tensor | None = None
    """float32 `(M, ch, R, R)`, normalised: the images as they were optimised, where a pixel's range does not bound them
    (`images` are these, clipped and rounded). Students see them if they are there."""
    targets: Tensor | None = None
    """float32 `(M, C)`: fixed labels that were optimised together with the images or instead of them."""
    rates: Tensor | None = None
    """float32 `(T,)`: learned step sizes of a student, one, or one for each step of the method's own schedule."""
    whitening: Tensor | None = None
    """float32 `(P + 1, P)`: ZCA of normalised images as vectors of P numbers, its last row the offset: what students
    see of these images and of those they are tested on (`wmdd.data.whitening`). Teachers see them without."""
    kernel: TangentKernel = "fc"
    """Under which kernel regression on the set is its method's own procedure (KIP, label solve)."""

    def __repr__(self) -> str:
        """Return what the set is in one line: the images themselves are in its fields."""
        more = [name for name in ("exact", "targets", "rates", "whitening") if getattr(self, name) is not None]
        return (
            f"{type(self).__name__}(method={self.method!r}, {len(self.labels)} images of {len(self.classes)} classes, "
            f"ipc={self.ipc}, side={self.image_size}, channels={self.images.shape[1]}, "
            f"dtype={str(self.images.dtype).removeprefix('torch.')}{''.join(f', with {name}' for name in more)})"
        )

    @property
    def ipc(self) -> int:
        """Images per class."""
        return len(self.labels) // len(self.classes)

    @property
    def image_size(self) -> int:
        """Side R of the images."""
        return int(self.images.shape[-1])

    @property
    def relative_weights(self) -> Tensor:
        """Weights in a student's loss, `(M,)`: w / mean of the set."""
        return self.weights / self.weights.mean()

    def require_classes(self, classes: tuple[str, ...]) -> None:
        """Raise `DataError` if the images have another class order."""
        require_same_classes("set", self.classes, classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """How near a distilled set lies to the real features of its classes, as the teacher sees both; float64 `(C,)` each.

    W2² (costs) beside that of k-means and of random picks (mean and sample deviation over draws); W1; 1 where the set's
    weights are all the same, else 0; gaps |E_real g − E_set g| and bounds Lip(g) · W1 of g, the last layer or its
    cross-entropy: None if it is not affine. Under kernels: the distance of the means and its bound for the last layer;
    for the loss MMD under Gaussians, the least norm of a function with its values, gap and bound, on a part of a large
    class (`stages/diagnose.py`).
    """

    set: str
    costs: Tensor
    kmeans_costs: Tensor
    random_costs: Tensor
    random_stds: Tensor
    distances: Tensor
    uniforms: Tensor
    head_gaps: Tensor | None = None
    head_bounds: Tensor | None = None
    loss_gaps: Tensor | None = None
    loss_bounds: Tensor | None = None
    mean_distances: Tensor | None = None
    head_mean_bounds: Tensor | None = None
    mmds: Tensor | None = None
    kernel_norms: Tensor | None = None
    kernel_gaps: Tensor | None = None
    kernel_bounds: Tensor | None = None

    __repr__ = short_repr


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLosses:
    """What losses of distillation, by the names of `evaluation/loss_cards.py`, say of a set, however it was made."""

    set: str
    """Method that made it."""
    values: Mapping[str, Tensor]
    """Name → float64 `(C,)`, a value for each class; `(1,)` for losses of all classes together."""

    __repr__ = short_repr

    @property
    def means(self) -> dict[str, float]:
        """Mean over the classes of every loss."""
        return {name: float(values.mean()) for name, values in self.values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Accuracy of one student, in per cent."""

    set: str
    """Method that made the images the student was trained on."""
    ipc: int
    student: str
    """Architecture; `"kernel"` where no student was trained."""
    protocol: str
    labels: str
    """`"soft"` = a teacher's; `"hard"` = what the set brings itself: fixed targets where it has some, else classes."""
    seed: int
    """Of the student, counted from 0."""
    distill_seed: int = 0
    """Of the run: that of the set the student was trained on, and of everything random in training it."""
    departs: str = ""
    """How the student's rules depart from those of `protocol`, in words; empty = they do not."""
    fingerprint: str = ""
    """Of the student's rules, see `wmdd.evaluation.fingerprints`; scores of other fingerprints are not comparable."""
    labelled_by: str = ""
    """Digest of the teachers whose answers the student learned from; empty = none."""
    images: str = ""
    """Digest of the set: scores with equal ones are of one set, whatever its seed."""
    seen: int = 0
    """Images that it was shown in training, each as often as it was shown; 0 = not known, or nothing was trained."""
    test_loss: float | None = None
    """Mean cross-entropy on the test images in nats, after the last epoch; None where outputs are not logits."""
    top1: float
    """After the last epoch."""
    top5: float
    """After the last epoch; 100 where there are five classes or fewer."""
    top1_best: float
    """Highest over the tests made during training; reported beside `top1`, never instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of fresh students."""

    scores: tuple[Score, ...] = field(default_factory=tuple)
