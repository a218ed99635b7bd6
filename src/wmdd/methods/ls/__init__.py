"""Label solve: real images with the labels under which kernel regression predicts the others best."""

from typing import ClassVar

from wmdd.methods.kits.settings import RegressionSettings
from wmdd.methods.method import Method


class LabelSolveSettings(RegressionSettings):
    """Label solve: the labels of real images under which regression with a tangent kernel predicts the others best."""

    section: ClassVar[str] = "ls"


METHOD = Method(
    name="ls",
    title="label solve",
    summary="real images with the best labels for kernel regression (label solve, ICLR 2021)",
    source="Dataset Meta-Learning from Kernel Ridge-Regression, ICLR 2021, arXiv:2011.00050",
    algorithm="wmdd.methods.ls.distill",
    settings=(LabelSolveSettings,),
    stages=("ls",),
    real=True,
    own_procedure="kernel",
)
