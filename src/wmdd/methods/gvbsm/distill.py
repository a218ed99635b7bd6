"""G-VBSM's wiring: several teachers, the statistics of each, and one recovery under all of them."""

from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work, squeezed, squeezing
from wmdd.methods.gvbsm import GvbsmRecoverSettings, GvbsmSettings
from wmdd.methods.gvbsm.layer_statistics import LAYER_STATISTICS
from wmdd.methods.gvbsm.recovery import GVBSM
from wmdd.methods.kits.inversion import MATCHING
from wmdd.settings import OptimisationSettings, Recipe, StatisticsSettings
from wmdd.stages.squeeze import SQUEEZE


def teach(stages: Stages, train: Result, val: Result, recipe: Recipe) -> tuple[Result, ...]:
    """Squeeze the teacher, and then each further network as it was."""
    settings = recipe.squeeze.with_(checkpoint=None)
    first = squeezed(stages, train, val, recipe)
    further = (stages.run(SQUEEZE, train, val, settings=settings.with_(arch=arch)) for arch in _others(recipe))
    return (*first, *further)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Take each teacher's statistics and recover images under all of them."""
    settings = recipe.of(StatisticsSettings)
    statistics = tuple(stages.run(LAYER_STATISTICS, train, each, settings=settings) for each in teachers)
    own = GvbsmRecoverSettings(gvbsm=recipe.of(GvbsmSettings), recover=recipe.of(OptimisationSettings))
    return stages.run(GVBSM, train, teachers, statistics, settings=own, ipc=recipe.ipc)


def teach_work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count the training of every teacher."""
    others = [Work(arch=arch, both=recipe.squeeze.epochs * size.images) for arch in _others(recipe)]
    return (*squeezing(recipe, size), *others)


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count statistics under every teacher, and recovery, in which they take turns."""
    archs = (recipe.squeeze.arch, *_others(recipe))
    steps = recipe.of(OptimisationSettings).iterations * size.classes * recipe.ipc / len(archs)
    return tuple(Work(arch=arch, forward=size.images, both=MATCHING * steps) for arch in archs)


def _others(recipe: Recipe) -> list[str]:
    """Return the networks beside the teacher's."""
    return [arch for arch in dict.fromkeys(recipe.of(GvbsmSettings).teachers) if arch != recipe.squeeze.arch]


ALGORITHM = Algorithm(distill=distill, teach=teach, teach_work=teach_work, work=work)
