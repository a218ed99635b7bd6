"""WMDD+'s wiring: (easy images →) statistics → barycenter → cells (→ their statistics) → recovery (→ choice)."""

from dataclasses import dataclass, replace
from functools import cached_property

from wmdd.data.subsets import subset
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work
from wmdd.methods.kits.inversion import recovery_work
from wmdd.methods.wmdd_plus import PlusRecoverSettings, PlusSettings
from wmdd.methods.wmdd_plus.cells import CELL_STATISTICS, CELLS
from wmdd.methods.wmdd_plus.choose import CHOOSE
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
    atoms = recipe.ipc * plus.candidates
    if plus.keep < 1:
        easy = stages.run(EASY, train, teacher, settings=PlusSettings(keep=plus.keep), ipc=atoms)
        train = ImagesOf(images=train, chosen=easy)
    statistics = stages.run(STATISTICS, train, teacher, settings=batches)
    barycenters = stages.run(BARYCENTER, statistics, settings=recipe.of(BarycenterSettings), ipc=atoms)
    cells = stages.run(CELLS, train, statistics, barycenters, settings=NoSettings())
    shares = (barycenters, cells)
    if settings.statistics != "class":
        shares = (*shares, stages.run(CELL_STATISTICS, train, teacher, cells, settings=batches))
    found = stages.run(RECOVER_PLUS, train, teacher, statistics, shares, settings=settings)
    if plus.candidates == 1:
        return found
    choice = PlusSettings(candidates=plus.candidates, choose_by=plus.choose_by)
    return stages.run(CHOOSE, found, teacher, statistics, settings=choice, ipc=recipe.ipc)


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count the passes over real images, of all where the easy ones are sought and of these after, and recovery.

    Of recovery with candidates, all images count, and once more where some are chosen.
    """
    plus = recipe.of(PlusSettings)
    keep, images = plus.keep, size.classes * recipe.ipc * plus.candidates
    kept = Size(images=round(keep * size.images), classes=size.classes)
    found = recovery_work(recipe.with_settings({"ipc": recipe.ipc * plus.candidates}), kept)
    further = (size.images if keep < 1 else 0) + (images if plus.candidates > 1 else 0)
    if recipe.of(PlusRecoverSettings).statistics != "class":
        further += kept.images
    return tuple(replace(part, forward=part.forward + further) for part in found)


ALGORITHM = Algorithm(distill=distill, work=work)
