"""Settings of recovery: how images are optimised, and towards what."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from wmdd.settings.section import Fraction, Section
from wmdd.settings.terms import Terms


class OptimisationSettings(Section):
    """Stage 4: how images are optimised, and their views in a step."""

    section: ClassVar[str] = "recover"

    iterations: PositiveInt = 2000
    """Adam steps."""
    lr: PositiveFloat = 0.25
    """Learning rate in normalised pixels; cosine to zero."""
    start: Literal["noise", "real"] = "noise"
    """Start from Gaussian noise, or from random real images of the class."""
    crop_min: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest share of the area that the crop of a step keeps."""
    flip: bool = True
    """Mirror half of the views."""
    roll: NonNegativeInt = 0
    """Largest cyclic shift of a step's views in pixels, down and to the right."""
    curriculum: Literal["none", "cosine", "linear", "step"] = "none"
    """How the smallest crop shrinks from the whole image to curriculum_end; none = crop_min in every step."""
    curriculum_milestone: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the steps after which the curriculum has reached its end."""
    curriculum_end: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest share of the area that a crop keeps at the end of a curriculum."""
    batch: PositiveInt = 100
    """Images optimised together: as many whole classes as fit, at least one."""

    @property
    def shared_view(self) -> bool:
        """Whether all images of a group have the same crop and flip in a step."""
        return False


class InversionSettings(OptimisationSettings):
    """Stage 4: optimise images under BatchNorm statistics and a loss that ties them to their class."""

    form: Literal["squared", "reference"] = "squared"
    """squared = the paper's losses; reference = those of the authors' code, and of SRe2L's: unsquared norms."""
    bn: Literal["per_class", "global", "running", "none"] = "per_class"
    """BatchNorm statistics that the images should match: exact ones of their class or of the whole set, or the running
    ones that the teacher has stored."""
    bn_weight: NonNegativeFloat = 1.0
    """Weight lambda of the BatchNorm term; the feature term's unit is a squared feature, cross-entropy's a nat."""
    bn_first: NonNegativeFloat = 1.0
    """Factor on the term of the first BatchNorm layer; SRe2L's and G-VBSM's code has 10."""
    residuals: NonNegativeInt = 0
    """How often, at equal distances, a real image is blended into each image (FADRM has 3); the optimiser then begins
    anew. 0 = never."""
    residual_share: Fraction = 0.5
    """Share of the real image in the blend."""
    residual_from: Literal["start", "retrieved"] = "start"
    """The real image that the image started from, one of the class if that was noise (FADRM); or the one of the class
    that is nearest to it then in direction of features and plain enough (RETA)."""
    residual_complexity: Fraction = 0.1
    """Weight of the complexity of a retrieved image beside its distance."""
    terms: Terms = ()
    """Further terms of the loss, of other packages: NAME, or NAME=WEIGHT; `wmdd list losses` names them."""

    @property
    def shared_view(self) -> bool:
        """Whether all images of a group have the same crop and flip in a step, as in the reference code."""
        return self.form == "reference"

    @model_validator(mode="after")
    def _steps_between_residuals(self) -> "InversionSettings":
        if self.residuals >= self.iterations:
            raise ValueError(
                f"residuals: steps are needed before and after each; got {self.residuals} in {self.iterations} "
                "iterations; set fewer residuals"
            )
        return self

    @property
    def pooled(self) -> bool:
        """Whether the moments of all images of a group are taken together, whatever their class."""
        return self.bn in ("global", "running")


class FeatureMatchingSettings(InversionSettings):
    """Stage 4: optimise images until their features match those of real images."""

    ce_weight: NonNegativeFloat = 0.0
    """Weight of a cross-entropy term added to the feature loss; the authors' script has 1, their final runs 0."""


class RecoverSettings(FeatureMatchingSettings):
    """Stage 4: optimise images until their features match the atoms."""

    feature_loss: Literal["wasserstein", "cross_entropy", "none"] = "wasserstein"
    """The loss that ties an image to its class; the kernels of MMD have a method of their own, mmd."""


class KernelSettings(FeatureMatchingSettings):
    """Stage 4: optimise images without atoms."""

    feature_loss: Literal["cross_entropy", "mmd_linear", "mmd_rbf", "none"] = "cross_entropy"
    """The loss that ties an image to its class: the teacher's answer, or MMD between features, or nothing."""
