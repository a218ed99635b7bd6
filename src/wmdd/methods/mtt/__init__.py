"""MTT: experts on the real images → images that lead a student along their trajectories."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from wmdd.methods.method import Method
from wmdd.settings import FULL_DSA, Section, Strategy, Whitening


class ExpertsSettings(Section):
    """Networks trained on the real images, whose trajectories MTT matches; runs of any IPC share them."""

    section: ClassVar[str] = "experts"

    arch: str = "convnet3"
    """Network; without BatchNorm."""
    count: PositiveInt = 100
    """Number of experts."""
    epochs: PositiveInt = 50
    """Passes over the real images; the parameters after each are kept."""
    lr: PositiveFloat = 0.01
    """Learning rate of plain SGD: no momentum, no decay."""
    batch: PositiveInt = 256
    """Images per step."""
    strategy: Strategy = FULL_DSA
    """Augmentation: groups joined by underscores, or none; parameters for each image."""
    zca: Whitening = "none"
    """ZCA whitening of what networks see, of at most 4,096 numbers an image: its ridge 0.1 of pixels in [0, 1], the
    authors' in most of their CIFAR cells, or a tenth of the mean variance of standardised channels; or none."""


class MttSettings(Section):
    """MTT: images that take a network, in a few steps, from one point of an expert's trajectory to a later one."""

    section: ClassVar[str] = "mtt"

    iterations: PositiveInt = 5000
    """Steps of SGD on images and learning rate."""
    steps: PositiveInt = 30
    """Steps N of the student."""
    span: PositiveInt = 2
    """Epochs M of the expert that those steps should make up for."""
    start_max: PositiveInt = 20
    """Trajectories start before this epoch of the expert."""
    lr: PositiveFloat = 100.0
    """Learning rate of the images; the loss is relative and small for each pixel, so hundreds are right."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Momentum of SGD on images and learning rate."""
    rate: PositiveFloat = 0.001
    """Initial value of the student's learning rate alpha, which is learned."""
    rate_lr: PositiveFloat = 1e-5
    """Learning rate of alpha."""
    batch: PositiveInt | None = None
    """Distilled images per step of the student; none = all."""
    strategy: Strategy = FULL_DSA
    """Augmentation in the student's steps: groups joined by underscores, or none; parameters for each image."""
    gradient: Literal["graph", "sweep"] = "graph"
    """Keep the graph of all steps, or recompute each on the backward pass: less memory, more time, same gradient."""


METHOD = Method(
    name="mtt",
    title="MTT",
    summary="images that lead a student along the trajectories of experts (CVPR 2022)",
    source="Dataset Distillation by Matching Training Trajectories, CVPR 2022, arXiv:2203.11932",
    algorithm="wmdd.methods.mtt.distill",
    settings=(ExpertsSettings, MttSettings),
    stages=("experts", "mtt"),
    losses={"loss": "distance from the expert, relative"},
    networks=("experts.arch",),
)
