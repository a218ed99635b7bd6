"""Settings of the real images, and of random views of images."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from wmdd.settings.section import Section


class DataSettings(Section):
    """Where images come from and how they are laid out."""

    section: ClassVar[str] = "data"
    free: ClassVar[frozenset[str]] = frozenset({"workers", "memory_gb", "max_broken"})

    image_size: Annotated[int, Field(ge=4)] | None = None
    """Side in pixels that networks see; none = the side of the first image, at most 224."""
    channels: PositiveInt | None = None
    """Colour channels; none = 1 if the first images are all grey, else 3."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of each class held out for validation if the data have no split of their own."""
    holdout_seed: int = 0
    """Seed of that split, and of the development images."""
    development: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of each class cut from the training images and tested on in place of the test images; none = no cut."""
    image_column: str | None = None
    """Column of Parquet files that holds the images; none = the one marked so, or of a usual name."""
    label_column: str | None = None
    """Column of Parquet files that holds the labels; none = the one marked so, or of a usual name."""
    max_broken: NonNegativeInt = 0
    """Number of unreadable images that may be left out before the run stops."""
    memory_gb: PositiveFloat = 2.0
    """Decoded sets up to this size are kept in memory; larger ones are read as needed."""
    workers: NonNegativeInt = 2
    """Processes that decode images of sets that are not kept in memory."""


Whitening = Literal["none", "pixels", "standardised"]
"""ZCA of what networks see: none; ridge in units of pixels, as in MTT; in units of the mean variance, as in KIP."""


TangentKernel = Literal["fc", "convnet1", "convnet2", "convnet3", "convnet4"]
"""Tangent kernels of infinitely wide networks: fully connected with a hidden layer, or a ConvNet with so many blocks of
pooling."""


class ViewSettings(Section):
    """Random views: how an image is cropped, flipped and mixed in each view."""

    crop_min: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Smallest share of the area that a random crop keeps; 1 = the whole image, always."""
    flip: bool = True
    """Mirror half of the views."""
    cutmix: NonNegativeFloat = 0.0
    """Beta parameter of CutMix; 0 = no mixing."""
