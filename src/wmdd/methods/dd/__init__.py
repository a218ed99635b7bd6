"""DD: images and step sizes that train a fresh network in a few steps, found by gradients through those steps."""

from typing import ClassVar, Literal

from pydantic import PositiveFloat, PositiveInt

from wmdd.methods.method import Method
from wmdd.settings import Section


class DdSettings(Section):
    """DD: images and learning rates such that a fresh network, trained on them for a few steps, does well."""

    section: ClassVar[str] = "dd"

    arch: str = "convnet3_nn"
    """Network that is trained; without BatchNorm."""
    epochs: PositiveInt = 3
    """Passes of a student over the images, E; a step sees one image of each class, so there are IPC x E steps."""
    rate: PositiveFloat = 0.02
    """Initial learning rate of each step; the rates are learned."""
    iterations: PositiveInt = 20_000
    """Steps of Adam on images and rates."""
    lr: PositiveFloat = 0.01
    """Learning rate of Adam."""
    decay_every: PositiveInt = 2000
    """Iterations between two halvings of that learning rate."""
    batch: PositiveInt = 1024
    """Real images on which the trained networks are tested in each iteration."""
    networks: PositiveInt = 4
    """Fresh networks in each iteration."""
    gradient: Literal["graph", "sweep"] = "sweep"
    """Keep the graph of all steps, or recompute each on the backward pass: less memory, more time, same gradient."""


METHOD = Method(
    name="dd",
    title="DD",
    summary="images and step sizes that train a fresh network in a few steps (2018)",
    source="Dataset Distillation, 2018, arXiv:1811.10959",
    algorithm="wmdd.methods.dd.distill",
    settings=(DdSettings,),
    stages=("dd",),
    losses={"loss": "loss of the trained network on real images"},
    networks=("dd.arch",),
)
