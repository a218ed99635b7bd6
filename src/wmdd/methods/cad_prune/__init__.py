"""CAD-Prune: real images of the difficulty that a budget of training is just learning."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from wmdd.methods.method import Method
from wmdd.settings import Section


class CadSettings(Section):
    """Method cad-prune: real images by how unsteady their answers are at the end of a short training."""

    section: ClassVar[str] = "cad"

    epochs: PositiveInt | None = None
    """Epochs K of the recorded network, which should cost what a student costs; none = those of squeeze."""
    window: Annotated[int, Field(ge=2)] = 5
    """Epochs J in a row over which an image's probability is watched."""
    windows: PositiveInt = 5
    """Windows W, the last but one and those before it, that are averaged; K must be at least J + W."""
    keep: Literal["highest", "lowest"] = "highest"
    """The images whose answers are most unsteady; or those whose answers are steadiest, images never learned last."""

    @model_validator(mode="after")
    def _fitting(self) -> "CadSettings":
        if self.epochs is not None and self.epochs < self.window + self.windows:
            raise ValueError(
                f"epochs must be at least window + windows; got {self.epochs}, {self.window} and {self.windows}; raise "
                "cad.epochs, or lower these"
            )
        return self


METHOD = Method(
    name="cad-prune",
    title="CAD-Prune",
    summary="real images that a training of the students' length is just learning (CVPR 2026); rule of choice guessed",
    source="Rethinking Dataset Distillation: Hard Truths about Soft Labels, CVPR 2026, arXiv:2604.18811, from a "
    "summary; the rule by which images are chosen is a guess",
    algorithm="wmdd.methods.cad_prune.distill",
    settings=(CadSettings,),
    stages=("dynamics", "cad-prune"),
    losses={"loss": "cross-entropy of the recorded network"},
    real=True,
)
