"""DM: images that have the mean features of real images, for any random network."""

from wmdd.methods._method import Method, MethodSettings, Result, Size, Stages, Work
from wmdd.methods.dm.distill import MATCH_MEANS


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Match means."""
    return stages.run(MATCH_MEANS, train, teachers[0], settings=recipe.dm, ipc=recipe.ipc)


def work(recipe: MethodSettings, size: Size) -> tuple[Work, ...]:
    """Count real images forward, distilled ones forward and backward."""
    steps, classes = recipe.dm.iterations, size.classes
    return (
        Work(
            arch=recipe.dm.arch,
            forward=steps * classes * recipe.dm.batch_real,
            both=steps * classes * recipe.ipc,
        ),
    )


DM = Method(
    name="dm",
    source="Zhao and Bilen, Dataset Condensation with Distribution Matching, WACV 2023, arXiv:2110.04181",
    distill=distill,
    networks=lambda recipe: (recipe.dm.arch,),
    work=work,
)
