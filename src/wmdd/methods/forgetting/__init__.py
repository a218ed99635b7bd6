"""Forgetting: real images that a network learned and did not forget again, or those that it forgot most often."""

from typing import ClassVar, Literal

from wmdd.methods.method import Method
from wmdd.settings import Section


class ForgettingSettings(Section):
    """Method forgetting: real images by how often a network forgot them while it was trained."""

    section: ClassVar[str] = "forgetting"

    keep: Literal["easy", "hard"] = "easy"
    """The images with the fewest forgetting events, or those with the most among the images ever learned."""


METHOD = Method(
    name="forgetting",
    title="Forgetting",
    summary="real images that a network does not forget while it learns (ICLR 2019)",
    source="An Empirical Study of Example Forgetting during Deep Neural Network Learning, ICLR 2019, arXiv:1812.05159",
    algorithm="wmdd.methods.forgetting.distill",
    settings=(ForgettingSettings,),
    stages=("dynamics", "forgetting"),
    losses={"loss": "cross-entropy of the recorded network"},
    real=True,
)
