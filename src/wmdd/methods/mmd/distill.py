"""MMD's wiring: statistics → inversion under a kernel."""

from wmdd.methods.algorithm import Algorithm, Result, Stages
from wmdd.methods.kits.inversion import invert_with, recovery_work
from wmdd.methods.mmd import MmdSettings
from wmdd.settings import Recipe


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Match the class's real features under the kernel."""
    kernel = recipe.of(MmdSettings).kernel
    return invert_with("mmd_rbf" if kernel == "rbf" else "mmd_linear", stages, train, teachers[0], recipe)


ALGORITHM = Algorithm(distill=distill, work=recovery_work)
