"""The losses of every set of a bench, under the one teacher and one draw that all share."""

from dataclasses import dataclass

from wmdd.methods.algorithm import Result, Work
from wmdd.pipeline.obtaining import StoredResult
from wmdd.pipeline.plan import RunPlan
from wmdd.pipeline.runner import Runner, given_images
from wmdd.settings import StatisticsSettings, ViewSettings
from wmdd.stages.losses import LOSSES, NETWORKS, REAL, VIEWS
from wmdd.stages.statistics import STATISTICS
from wmdd.stages.view_features import IMAGES, VIEW_FEATURES


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What the sets of a bench are measured against, and the runner that does it.

    It is the bench's own, not that of a cell: its seed draws the same views, networks and real images for every set.
    """

    runner: Runner
    train: Result
    teacher: Result
    real: tuple[StoredResult, StoredResult]
    """Statistics of real images, and features of their views."""
    settings: ViewSettings

    @staticmethod
    def of(runner: Runner, base: RunPlan, teacher: StoredResult) -> "Measures":
        """Make what the sets are measured against, unless it is in the store."""
        train, settings = given_images(base.train), seen_views(base)
        statistics = runner.run(STATISTICS, train, teacher, settings=StatisticsSettings())
        views = runner.run(VIEW_FEATURES, train, teacher, settings=settings)
        return Measures(runner=runner, train=train, teacher=teacher, real=(statistics, views), settings=settings)

    @property
    def identity(self) -> str:
        """What the losses of a set depend on beside the set."""
        return f"{LOSSES.version} {self.real[1].key}"

    def losses(self, distilled: Result, of: str) -> dict[str, float]:
        """Return the losses of a set, by name, means over the classes; `of` names it on the screen."""
        measured = self.runner.run(
            LOSSES, distilled, self.teacher, self.real, self.train, settings=self.settings, of=of
        )
        return measured.record.means


def seen_views(base: RunPlan) -> ViewSettings:
    """Return the views in which sets are looked at: crops and flips of the labels that are stored, without CutMix."""
    relabel = base.recipe.relabel
    return ViewSettings(crop_min=relabel.crop_min, flip=relabel.flip)


def losses_work(base: RunPlan, sets: int, images: int) -> list[Work]:
    """Count what passes through networks to measure `sets` sets of `images` images in all."""
    arch, train = base.recipe.squeeze.arch, base.train
    classes = len(train.classes)
    once = len(train) + min(len(train), classes * IMAGES)
    batch = min(len(train), classes * REAL)
    return [Work(arch=arch, forward=once + (VIEWS + 1) * images, both=NETWORKS * (images + sets * batch))]
