"""WMDD+'s wiring: (easy images →) statistics → barycenter → cells (→ their statistics) → recovery."""

from dataclasses import dataclass, replace
from functools import cached_property

from wmdd.data.subsets import subset
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work
from wmdd.methods.kits.inversion import recovery_work
from wmdd.methods.wmdd_plus import PlusRecoverSettings, PlusSettings
from wmdd.methods.wmdd_plus.cells import CELL_STATISTICS, CELLS
from wmdd.methods.wmdd_plus.easy import EASY
from wmdd.methods.wmdd_plus.recover import RECOVER_PLUS
from wmdd.settings import BarycenterSettings, NoSettings, Recipe, StatisticsSettings
from wmdd.stages.barycenter import BARYCENTER
from wmdd.stages.statistics import STATISTICS
from wmdd.values import ImageSet


@dataclass(frozen=True, kw_only=True)
class ImagesOf:
    """The chosen ones of some images, as a result that stages take in place of all."""

    images: Result
    chosen: Result

    @property
    def key(self) -> str:
        """Its identity: the choice, whose own key counts the images in."""
        return self.chosen.key

    @cached_property
    def record(self) -> ImageSet:
        """The images."""
        return subset(self.images.record, self.chosen.record.positions)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Summarise the part of each class that is imitated, and optimise each image in the cell of its atom."""
    teacher, settings, plus = teachers[0], recipe.of(PlusRecoverSettings), recipe.of(PlusSettings)
    batches = recipe.of(StatisticsSettings)
    if plus.keep < 1:
        train = ImagesOf(images=train, chosen=stages.run(EASY, train, teacher, settings=plus, ipc=recipe.ipc))
    statistics = stages.run(STATISTICS, train, teacher, settings=batches)
    barycenters = stages.run(BARYCENTER, statistics, settings=recipe.of(BarycenterSettings), ipc=recipe.ipc)
    cells = stages.run(CELLS, train, statistics, barycenters, settings=NoSettings())
    shares = (barycenters, cells)
    if settings.statistics != "class":
        shares = (*shares, stages.run(CELL_STATISTICS, train, teacher, cells, settings=batches))
    return stages.run(RECOVER_PLUS, train, teacher, statistics, shares, settings=settings)


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count the passes over real images, of all where the easy ones are sought and of these after, and recovery."""
    keep = recipe.of(PlusSettings).keep
    kept = Size(images=round(keep * size.images), classes=size.classes)
    found = recovery_work(recipe, kept)
    further = size.images if keep < 1 else 0
    if recipe.of(PlusRecoverSettings).statistics != "class":
        further += kept.images
    return tuple(replace(part, forward=part.forward + further) for part in found)


ALGORITHM = Algorithm(distill=distill, work=work)
