"""Settings of the stages."""

import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from wmdd.settings.section import Fraction, Section


class TrainSettings(Section):
    """How a classifier is trained."""

    epochs: PositiveInt = 50
    """Passes over the images."""
    batch: PositiveInt = 32
    """Images per step."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum, or AdamW (no decay on one-dimensional parameters)."""
    lr: PositiveFloat = 0.025
    """Learning rate at the start."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of SGD."""
    weight_decay: NonNegativeFloat = 1e-4
    """Weight decay."""
    warmup: NonNegativeFloat = 0.0
    """Epochs of linear warm-up."""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """Cosine, see zeta; step = a tenth after half of the epochs, with the optimiser reset; or constant."""
    zeta: Annotated[float, Field(ge=1)] = 1.0
    """Cosine over zeta times the epochs: lr (1 + cos(pi i / (zeta epochs))) / 2; 1 ends at zero, 2 at half."""
    label_smoothing: Fraction = 0.0
    """Label smoothing of the cross-entropy with hard labels."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of an exponential moving average of the weights, which is then tested; 0 = none."""


MomentsWord = Literal["auto", "data", "imagenet"]


def _word_or_numbers(fits: Callable[[float], bool], wanted: str) -> BeforeValidator:
    """Return a validator of one of the words, or of one number or one for each channel."""

    def check(value: Any) -> Any:
        given = list(value) if isinstance(value, (list, tuple)) else [value]
        if len(given) == 1 and given[0] in ("auto", "data", "imagenet"):
            return given[0]
        try:
            numbers = tuple(float(each) for each in given)
        except (TypeError, ValueError):
            numbers = ()
        if not numbers or not all(math.isfinite(each) and fits(each) for each in numbers):
            raise ValueError(f"input should be {wanted}, or auto, data or imagenet")
        return numbers

    return BeforeValidator(check)


Means = Annotated[MomentsWord | tuple[float, ...], _word_or_numbers(lambda mean: 0 <= mean <= 1, "numbers in [0, 1]")]
Deviations = Annotated[
    MomentsWord | tuple[float, ...], _word_or_numbers(lambda std: 0 < std <= 1, "numbers above 0, at most 1")
]


class SqueezeSettings(TrainSettings):
    """Stage 1: train the teacher, or use your own."""

    section: ClassVar[str] = "squeeze"

    arch: str = "resnet18"
    """Network; `wmdd list models` names them."""
    stem: Literal["auto", "imagenet", "small"] = "auto"
    """First layers: ImageNet's, or stride 1 without pooling for small images; auto = small below 96 pixels."""
    checkpoint: str | None = None
    """File with a teacher's state dict; then nothing is trained."""
    pretrained: bool = False
    """Start from timm's pretrained weights of `arch`; with the same classes nothing is trained."""
    mean: Means = "auto"
    """Mean of pixels in [0, 1] that the teacher subtracts; auto = as its file states, else the data's."""
    std: Deviations = "auto"
    """Deviation that the teacher divides by; auto = from where its mean is."""
    classes: tuple[str, ...] = ()
    """Names of the classes in the order of the checkpoint's outputs; none = as its file states, or as the data's."""
    accept_weak: bool = False
    """Go on with a checkpoint that is near chance, far below its own accuracy, or in another class order."""
    crop_min: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest share of the area that a random crop keeps."""
    flip: bool = True
    """Mirror half of the views."""
    seed: int = 0
    """Seed of the teacher, apart from the run's: runs with other seeds share one teacher."""

    @model_validator(mode="after")
    def _agreed(self) -> "SqueezeSettings":
        given = {type(each) for each in (self.mean, self.std) if each != "auto"}
        words = {self.mean, self.std} - {"auto"}
        if (
            tuple in given
            and (given != {tuple} or "auto" in (self.mean, self.std))
            or given == {str}
            and len(words) > 1
        ):
            raise ValueError("mean and std belong together: numbers for both, or one word")
        if self.classes and self.checkpoint is None and not self.pretrained:
            raise ValueError("classes are those of a checkpoint; give one, or leave them out")
        return self

    def without_checkpoint(self) -> "SqueezeSettings":
        """Return the settings of a network that is trained here, or starts from timm's weights."""
        return self.with_(checkpoint=None, classes=())


class StatisticsSettings(Section):
    """Stage 2: features and per-class BatchNorm moments in one pass."""

    section: ClassVar[str] = "statistics"
    free: ClassVar[frozenset[str]] = frozenset({"batch"})

    batch: PositiveInt = 100
    """Images per step; does not change the result."""


class BarycenterSettings(Section):
    """Stage 3: a Wasserstein barycenter of each class's features, or an alternative of the ablation."""

    section: ClassVar[str] = "barycenter"

    objective: Literal["wasserstein", "sliced", "entropic", "mmd_linear", "mmd_rbf", "mean", "kmeans"] = "wasserstein"
    """The objective of the atoms. All but wasserstein and kmeans have weights 1/IPC."""
    weights: Literal["learned", "uniform", "exact"] = "learned"
    """Of wasserstein only: learned = projected subgradient (the paper's); uniform = 1/IPC; exact = Voronoi shares."""
    iterations: PositiveInt = 10
    """Alternations of weights and atoms (K_iter), or rounds of sliced, entropic, mmd_rbf; the others need none."""
    step: Annotated[float, Field(gt=0, lt=2)] = 1.0
    """Of wasserstein only: step length of the weight update, in units of Polyak's step."""
    starts: PositiveInt = 3
    """Of wasserstein and kmeans: runs for each class, each from its own k-means++; that of lowest cost is kept. The
    k-means beside every objective has as many."""


class RelabelSettings(Section):
    """Stage 5: the teacher's logits for views of the distilled images (FKD)."""

    section: ClassVar[str] = "relabel"
    free: ClassVar[frozenset[str]] = frozenset({"teachers"})  # they count as the stage's inputs

    teachers: tuple[str, ...] = ()
    """Networks that are trained as the teacher is and label beside it: the mean of all logits counts."""
    store: Literal["full", "topk", "online"] = "full"
    """full = all logits in fp16, and the views; topk = the largest ones in 8 bits; online = none, the teacher answers
    while students train. Under topk and online no view is stored: they are drawn again from the seed."""
    top_k: PositiveInt = 10
    """Logits stored by `topk`, beside the mean of the rest; all, where they take no more bytes."""
    passes: PositiveInt | None = None
    """Epochs stored at most by full and topk; students replay their batches in random order. None = all epochs."""
    temperature: PositiveFloat = 20.0
    """Temperature T of the soft labels."""
    crop_min: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest share of the area that a view keeps."""
    flip: bool = True
    """Mirror half of the views."""
    cutmix: NonNegativeFloat = 1.0
    """Beta parameter of CutMix; 0 = no mixing."""


class EvaluateSettings(Section):
    """Stage 6: train fresh students and test them."""

    section: ClassVar[str] = "evaluate"
    free: ClassVar[frozenset[str]] = frozenset({"full_data", "references"})  # they have stages of their own

    students: tuple[str, ...] = ("resnet18",)
    """Networks that are trained on the distilled set."""
    protocols: tuple[str, ...] = ("wmdd",)
    """How they are trained; `wmdd list protocols` names them."""
    seeds: PositiveInt = 3
    """Students trained for each row."""
    labels: Literal["soft", "hard", "both"] = "both"
    """Learn from the teacher's soft labels; or from the set's own labels, its fixed targets or the class; or both."""
    references: tuple[Literal["random", "k-medoids", "all"], ...] = ("random", "k-medoids", "all")
    """What stands beside a set under the same rules: as many random real images, which are always there; the real
    images nearest to the barycenter's atoms; all real images, in as many steps."""
    epochs: PositiveInt | None = None
    """Epochs instead of the protocol's own."""
    batch: PositiveInt | None = None
    """Images in a batch instead of the protocol's own number; fewer are more steps at the same cost."""
    tests: PositiveInt = 5
    """Tests during training, the last one after the last epoch."""
    full_data: bool = False
    """Also train each student on all real images, as the teacher is trained: the upper reference."""

    @model_validator(mode="after")
    def _not_empty(self) -> "EvaluateSettings":
        if not self.students or not self.protocols:
            raise ValueError(
                "needs at least one student and one protocol; got an empty list; name one, or leave it out"
            )
        return self
