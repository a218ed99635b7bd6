"""SC-DD: SRe2L under a teacher whose backbone was trained without labels."""

from typing import Annotated, ClassVar

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from wmdd.methods.method import Method
from wmdd.methods.sre2l import Sre2lSettings
from wmdd.settings import Fraction, Section, StatisticsSettings


class PretrainingSettings(Section):
    """How the teacher of scdd learns without labels, and its last layer with them."""

    section: ClassVar[str] = "selfsupervised"

    epochs: PositiveInt = 200
    """Passes over the images without labels."""
    batch: PositiveInt = 256
    """Images per step, two views of each."""
    lr: PositiveFloat = 0.06
    """Learning rate at the start; SGD with momentum 0.9, cosine."""
    weight_decay: NonNegativeFloat = 1e-4
    """Weight decay."""
    temperature: PositiveFloat = 0.5
    """Temperature of the contrastive loss (NT-Xent)."""
    projection: PositiveInt = 128
    """Width of the vectors that are compared."""
    crop_min: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Smallest share of the area that a view keeps."""
    flip: bool = True
    """Mirror half of the views."""
    color: Fraction = 0.8
    """Probability with which a view's brightness, saturation and contrast are changed."""
    probe_epochs: PositiveInt = 100
    """Passes over the features with labels."""
    probe_lr: PositiveFloat = 0.01
    """Learning rate of the last layer (AdamW); cosine."""


class ScddSettings(Sre2lSettings):
    """Method scdd: recovery as sre2l has it, with the authors' number of steps for ImageNet-1K."""

    section: ClassVar[str] = "scdd"

    iterations: PositiveInt = 1000
    """Adam steps."""


class SelfSupervisedSettings(Section):
    """What the self-supervised squeeze reads: the network that `squeeze` names, and how scdd trains it."""

    section: ClassVar[str] = "selfsupervised"

    arch: str
    """Network."""
    stem: str
    """First layers."""
    seed: int
    """Seed of the teacher, apart from the run's."""
    training: PretrainingSettings
    """Both trainings."""


METHOD = Method(
    name="scdd",
    title="SC-DD",
    summary="sre2l under a teacher whose backbone was trained without labels (2024)",
    source="Self-supervised Dataset Distillation: A Good Compression Is All You Need, 2024, arXiv:2404.07976",
    algorithm="wmdd.methods.scdd.distill",
    settings=(StatisticsSettings, PretrainingSettings, ScddSettings),
    stages=("selfsupervised", "statistics", "invert"),
    losses={"loss": "total", "ce_loss": "cross-entropy", "bn_loss": "BatchNorm term"},
    needs_batchnorm=True,
    own_teacher=True,
)
