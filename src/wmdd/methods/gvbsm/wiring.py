"""G-VBSM: images on which several teachers agree, under statistics of all their layers; they label together too."""

from wmdd.methods._method import Method, MethodSettings, Result, Size, Stages, Work, squeezed, squeezing
from wmdd.methods._work import MATCHING
from wmdd.methods.gvbsm.distill import GVBSM as RECOVER_GVBSM
from wmdd.methods.gvbsm.layer_statistics import LAYER_STATISTICS
from wmdd.settings import GvbsmRecoverSettings
from wmdd.stages.squeeze import SQUEEZE


def teach(stages: Stages, train: Result, val: Result, recipe: MethodSettings) -> tuple[Result, ...]:
    """Squeeze the teacher, and then each further network as it was."""
    first, settings = squeezed(stages, train, val, recipe), recipe.squeeze.with_(checkpoint=None)
    further = (stages.run(SQUEEZE, train, val, settings=settings.with_(arch=arch)) for arch in _others(recipe))
    return (*first, *further)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Wire each teacher's statistics and the recovery."""
    statistics = tuple(stages.run(LAYER_STATISTICS, train, each, settings=recipe.statistics) for each in teachers)
    settings = GvbsmRecoverSettings(gvbsm=recipe.gvbsm, recover=recipe.recover)
    return stages.run(RECOVER_GVBSM, train, teachers, statistics, settings=settings, ipc=recipe.ipc)


def teach_work(recipe: MethodSettings, size: Size) -> tuple[Work, ...]:
    """Count the training of every teacher."""
    others = [Work(arch=arch, both=recipe.squeeze.epochs * size.images) for arch in _others(recipe)]
    return (*squeezing(recipe, size), *others)


def work(recipe: MethodSettings, size: Size) -> tuple[Work, ...]:
    """Count statistics under every teacher, and recovery, in which they take turns."""
    archs = (recipe.squeeze.arch, *_others(recipe))
    steps = recipe.recover.iterations * size.classes * recipe.ipc / len(archs)
    return tuple(Work(arch=arch, forward=size.images, both=MATCHING * steps) for arch in archs)


def _others(recipe: MethodSettings) -> list[str]:
    """Return the networks beside the teacher's."""
    return [arch for arch in dict.fromkeys(recipe.gvbsm.teachers) if arch != recipe.squeeze.arch]


GVBSM = Method(
    name="gvbsm",
    source="Generalized Large-Scale Data Condensation via Various Backbone and Statistical Matching, CVPR 2024, "
    "arXiv:2311.17950",
    distill=distill,
    teach=teach,
    networks=lambda recipe: recipe.gvbsm.teachers,
    teach_work=teach_work,
    work=work,
)
