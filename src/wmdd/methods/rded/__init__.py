"""RDED: the crops of real images that the teacher finds easiest, tiled."""

from typing import Annotated, ClassVar

from pydantic import Field, PositiveInt

from wmdd.methods.method import Method
from wmdd.settings import Section


class RdedSettings(Section):
    """Method rded: tiles of the crops that the teacher finds easiest."""

    section: ClassVar[str] = "rded"

    sample: PositiveInt = 300
    """Training images drawn of each class; more if more pieces are needed, all if the class has fewer."""
    crops: PositiveInt = 5
    """Random crops tried of each image."""
    factor: Annotated[int, Field(ge=1, le=8)] | None = None
    """Crops along one side of a distilled image; none = 1 up to 64 pixels, 2 above."""
    crop_min: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest share of the area that a crop keeps; 1 = the whole image, always."""


METHOD = Method(
    name="rded",
    title="RDED",
    summary="tiles of the real crops that the teacher finds easiest (CVPR 2024)",
    source="On the Diversity and Realism of Distilled Dataset, CVPR 2024, arXiv:2312.03526",
    algorithm="wmdd.methods.rded.distill",
    settings=(RdedSettings,),
    stages=("rded",),
    real=True,
)
