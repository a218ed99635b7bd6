"""Distribution matching (DM): images whose mean features are those of real images, for many random networks.

For class c, features f of a network with random weights, and a Siamese transform A, drawn anew for each class and
iteration, the same for both sides:

    L = sum_c || mean_b f(A(real_cb)) - mean_i f(A(X_ci)) ||²,   summed over features

Zhao and Bilen, WACV 2023 (arXiv:2110.04181). Differs from the reference code: every draw has a stream of its own, and
BatchNorm layers are recalibrated on real images as in gradient matching (`kits/matching.py`), where the reference code
runs them over all classes in train mode. The loop is `kits/means.py`.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from wmdd.context import Context
from wmdd.methods.algorithm import Algorithm, Result, Stages
from wmdd.methods.dm import DmSettings
from wmdd.methods.kits.means import match_statistics, mean_work
from wmdd.models.taps import features_and_logits
from wmdd.settings import Recipe
from wmdd.stages.stage import Stage
from wmdd.values import DistilledSet, ImageSet, Teacher


def match_means(
    train: ImageSet, teacher: Teacher, settings: DmSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` images of each class, under the class order and the normalisation of `teacher`.

    The unit of work is an iteration.

    Raises:
        ConfigError: the architecture is unknown, or the images do not suit it.
        NumericsError: the loss is not finite any more.
    """
    return match_statistics(
        train,
        teacher,
        settings,
        ipc=ipc,
        method="dm",
        statistics=mean_features,
        weights=lambda _: (1.0,),
        ctx=ctx or Context(),
    )


def mean_features(model: nn.Module, images: Tensor) -> Sequence[Tensor]:
    """Return the mean of the features of images `(B, ch, R, R)`, one tensor `(D,)`."""
    return (features_and_logits(model, images)[0].float().mean(0),)


MATCH_MEANS = Stage(name="match_means", version=1, run=match_means, output=DistilledSet)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Match means."""
    return stages.run(MATCH_MEANS, train, teachers[0], settings=recipe.of(DmSettings), ipc=recipe.ipc)


ALGORITHM = Algorithm(distill=distill, work=mean_work(DmSettings))
