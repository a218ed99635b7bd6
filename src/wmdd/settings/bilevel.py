"""Settings of the methods that optimise images through what they teach: unrolled training (DD, MTT), a kernel (KIP)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from wmdd.settings.section import Positive, Rate, Section
from wmdd.settings.strategy import FULL_DSA, Strategy


class DdSettings(Section):
    """DD: images and learning rates such that a fresh network, trained by them for a few steps, does well."""

    section: ClassVar[str] = "dd"

    arch: str = "convnet3_nn"
    """Network that is trained; without BatchNorm."""
    epochs: Positive = 3
    """Passes of a student over the images, E; a step sees one image of each class, so there are IPC x E steps."""
    rate: Rate = 0.02
    """Learning rate of each step at the start; they are learned."""
    iterations: Positive = 20_000
    """Steps of Adam on images and rates."""
    lr: Rate = 0.01
    """Learning rate of Adam."""
    decay_every: Positive = 2000
    """Iterations after which it is halved, again and again."""
    batch: Positive = 1024
    """Real images on which a trained network is judged, in each iteration."""
    networks: Positive = 4
    """Fresh networks in each iteration."""
    gradient: Literal["graph", "sweep"] = "sweep"
    """Keep the graph of all steps, or make each anew on the way back, in less memory and more time, to the same end."""


class ExpertsSettings(Section):
    """Networks trained on the real images, whose ways MTT follows; all IPC share them."""

    section: ClassVar[str] = "experts"

    arch: str = "convnet3"
    """Network; without BatchNorm."""
    count: Positive = 100
    """Networks."""
    epochs: Positive = 50
    """Passes over the real images; the parameters after each are kept."""
    lr: Rate = 0.01
    """Learning rate of plain SGD: no momentum, no decay."""
    batch: Positive = 256
    """Images a step."""
    strategy: Strategy = FULL_DSA
    """Augmentation: groups joined by underscores, or none; parameters for each image."""


class MttSettings(Section):
    """MTT: images that take a network, in a few steps, from one point of an expert's way to a later one."""

    section: ClassVar[str] = "mtt"

    iterations: Positive = 5000
    """Steps of SGD on images and rate."""
    steps: Positive = 30
    """Student's steps N."""
    span: Positive = 2
    """Expert's epochs M that they are to make up for."""
    start_max: Positive = 20
    """Ways begin before this epoch of the expert (exclusive)."""
    lr: Rate = 100.0
    """Learning rate of the images; the loss is relative and small for each pixel, so hundreds are right."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Of the SGD on images and rate."""
    rate: Rate = 0.001
    """Student's learning rate alpha at the start; it is learned."""
    rate_lr: Rate = 1e-5
    """Learning rate of alpha."""
    batch: Positive | None = None
    """Distilled images a student's step; none = all."""
    strategy: Strategy = FULL_DSA
    """Augmentation in the student's steps: groups joined by underscores, or none; parameters for each image."""
    gradient: Literal["graph", "sweep"] = "graph"
    """Keep the graph of all steps, or make each anew on the way back, in less memory and more time, to the same end."""


class KipSettings(Section):
    """KIP: images on which regression with the kernel of a wide network predicts the real ones."""

    section: ClassVar[str] = "kip"

    iterations: Positive = 1000
    """Steps of Adam."""
    lr: Rate = 0.04
    """Learning rate of Adam, in normalised pixels and in labels."""
    batch: Positive = 5000
    """Real images a step, as many of each class."""
    learn_labels: bool = False
    """Optimise the labels too."""
