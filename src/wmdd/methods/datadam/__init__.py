"""DataDAM: images that have the spatial attention maps of real images, for any random network."""

from typing import Annotated, ClassVar

from pydantic import Field, NonNegativeFloat, PositiveInt

from wmdd.methods.kits.settings import MeanSettings
from wmdd.methods.method import Method


class DatadamSettings(MeanSettings):
    """DataDAM: images whose mean attention maps and features are those of real images, for random networks."""

    section: ClassVar[str] = "datadam"

    arch: str = "convnet3_bn"
    """Network with two ReLU layers or more, initialised anew for each iteration; the authors' code has BatchNorm."""
    batch_real: PositiveInt = 64
    """Real images per class and step."""
    power: Annotated[float, Field(ge=1, le=16)] = 1.0
    """Exponent p of the activations in an attention map."""
    weight: NonNegativeFloat = 0.01
    """Weight lambda of the mean features beside the attention maps."""


METHOD = Method(
    name="datadam",
    title="DataDAM",
    summary="images whose spatial attention maps are those of real images, for random networks (ICCV 2023)",
    source="Sajedi et al., DataDAM: Efficient Dataset Distillation with Attention Matching, ICCV 2023, "
    "arXiv:2310.00093",
    algorithm="wmdd.methods.datadam.distill",
    settings=(DatadamSettings,),
    stages=("match_attention",),
    losses={"loss": "distance of attention maps and mean features"},
    networks=("datadam.arch",),
    bibtex="""@inproceedings{sajedi2023datadam,
  title     = {DataDAM: Efficient Dataset Distillation with Attention Matching},
  author    = {Sajedi, Ahmad and Khaki, Samir and Amjadian, Ehsan and Liu, Lucy Z. and Lawryshyn, Yuri A. and Plataniotis, Konstantinos N.},
  booktitle = {IEEE/CVF International Conference on Computer Vision (ICCV)},
  year      = {2023}
}
""",  # noqa: E501
)
