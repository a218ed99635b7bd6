"""Settings of the methods that choose real images, or pieces of them, and optimise nothing."""

from typing import Annotated, ClassVar

from pydantic import Field

from wmdd.settings.section import Positive, Section


class KMeansSettings(Section):
    """Method k-means: the real images nearest to the centres of k-means."""

    section: ClassVar[str] = "kmeans"

    starts: Positive = 5
    """Runs of k-means, each from a start of its own; the one of lowest cost is taken."""


class RdedSettings(Section):
    """Method rded: tiles of the crops that the teacher finds easiest."""

    section: ClassVar[str] = "rded"

    sample: Positive = 300
    """Training images drawn of each class; more if more pieces are needed, all if the class has fewer."""
    crops: Positive = 5
    """Random crops tried of each of them."""
    factor: Annotated[int, Field(ge=1, le=8)] | None = None
    """Crops along one side of a distilled image; none = 1 up to 64 pixels, 2 above."""
    crop_min: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest share of the area that a crop keeps; 1 = the whole image, always."""
