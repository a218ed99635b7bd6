"""How views were drawn: a fact that records, files and manifests hold alike. Free of torch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnViews:
    """How views were drawn, as in `wmdd.settings.ViewSettings`, and from what they can be drawn again."""

    crop_min: float
    flip: bool
    cutmix: float
    side: int = 0
    """R, side of images and views."""
    stage: str = ""
    """Name of the random streams; see `wmdd.data.drawing`."""
    seed: int | None = None
    """Seed of the streams; None = not known, so that the views must be stored."""
