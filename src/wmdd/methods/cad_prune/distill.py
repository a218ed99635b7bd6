"""CAD-Prune: real images by their compute-aware difficulty (CVPR 2026, arXiv:2604.18811).

With p_k(x) the probability of the true class in epoch k = 0 ... K - 1 of a training of K epochs:

    U_k(x) = standard deviation (J - 1 degrees of freedom) of p_k(x) ... p_{k+J-1}(x)
    CAD(x) = mean of U_k(x) over k = K - J - W ... K - J - 1

What we have is a summary. Guesses: that k counts from 0, so that the last epoch is in no window (as in dynamic
uncertainty, He et al. 2023, which this is with all windows); J and W; and that the highest difficulty is kept. For that
speaks: what is unsteady when the budget ends is what it was just about to learn, easy where the budget is small and
hard where it is large, as the source says of its choice. The probabilities are those of training itself, in train mode
and for augmented views (`stages/dynamics.py`), not of the images as they are after each epoch.
"""

import numpy as np
import torch
from torch import Tensor

from wmdd.context import Context
from wmdd.errors import ConfigError
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work, squeezing_of
from wmdd.methods.cad_prune import CadSettings
from wmdd.methods.kits.coresets import choose_by_dynamics
from wmdd.settings import Recipe, SqueezeSettings
from wmdd.stages.dynamics import DYNAMICS
from wmdd.stages.stage import Stage
from wmdd.values import DistilledSet, ImageSet, Teacher, TrainingDynamics
from wmdd.values.dynamics import PROBABILITY, mean_presented


def compute_aware_difficulty(probability: Tensor, window: int, windows: int) -> Tensor:
    """Return CAD of each image, float64 `(N,)`; 0 if no window presented it twice.

    Args:
        probability: `(E, N)`, NaN where the image was not presented; such epochs are left out of their windows.
        window: J.
        windows: W; J + W must be at most E.
    """
    first = len(probability) - window - windows
    spans = (probability[start : start + window].double() for start in range(first, first + windows))
    return mean_presented(torch.stack([sample_deviation(span) for span in spans]))


def sample_deviation(values: Tensor) -> Tensor:
    """Return the sample standard deviation of the rows of `(J, N)` that are not NaN, `(N,)`; NaN of fewer than two."""
    count = (~values.isnan()).sum(0)
    squares = (values - values.nanmean(0)).square().nansum(0)
    return torch.where(count > 1, (squares / (count - 1).clamp(min=1)).sqrt(), torch.nan)


def difficulty_order(dynamics: TrainingDynamics, settings: CadSettings) -> Tensor:
    """Return the positions of all images, int64 `(N,)`, those to be taken first in front; ties in stored order.

    With `keep` lowest, images that were never learned come last: their answers are steady, and wrong.
    """
    probability = dynamics.answers[:, PROBABILITY]
    difficulty = compute_aware_difficulty(probability, settings.window, settings.windows).numpy()
    if settings.keep == "highest":
        return torch.from_numpy(np.argsort(-difficulty, kind="stable"))
    return torch.from_numpy(np.lexsort((difficulty, dynamics.learned.numpy() == 0)))


def pick_by_difficulty(
    train: ImageSet,
    teacher: Teacher,
    dynamics: TrainingDynamics,
    settings: CadSettings,
    *,
    ipc: int,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return the first `ipc` images of each class in the order of `difficulty_order`, all of equal weight.

    `teacher` gives the normalisation alone.

    Raises:
        ConfigError: fewer epochs were recorded than the windows need.
        DataError: a class has fewer images than `ipc`, or teacher, images and dynamics do not belong together.
    """

    def order() -> Tensor:
        require_epochs(len(dynamics.answers), settings)
        return difficulty_order(dynamics, settings)

    return choose_by_dynamics(
        "cad-prune",
        train,
        teacher,
        dynamics,
        ipc,
        order=order,
        logged={"learned": dynamics.learned},
        ctx=ctx or Context(),
    )


def require_epochs(epochs: int, settings: CadSettings) -> None:
    """Refuse a training that is too short for the windows."""
    if epochs < settings.window + settings.windows:
        raise ConfigError(
            f"cad-prune needs at least cad.window + cad.windows epochs; got {epochs} epochs, window {settings.window} "
            f"and {settings.windows} windows; raise cad.epochs, or lower these"
        )


CAD_PRUNE = Stage(
    name="cad-prune", version=1, run=pick_by_difficulty, output=DistilledSet, seeded=False, networks=False
)


def recorded_training(recipe: Recipe) -> SqueezeSettings:
    """Return how the recorded network is trained: as the teacher would be, for the epochs that are asked for."""
    epochs = recipe.of(CadSettings).epochs or recipe.squeeze.epochs
    return recipe.squeeze.without_checkpoint().with_(epochs=epochs)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Record the dynamics of a network that is trained for the students' budget, and choose by them."""
    settings, training = recipe.of(CadSettings), recorded_training(recipe)
    require_epochs(training.epochs, settings)
    recorded = stages.run(DYNAMICS, train, settings=training)
    return stages.run(CAD_PRUNE, train, teachers[0], recorded, settings=settings, ipc=recipe.ipc)


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count the training of the recorded network, whatever the teacher is."""
    training = recorded_training(recipe)
    return (squeezing_of(training.arch, recipe.with_settings({"squeeze.epochs": training.epochs}), size),)


ALGORITHM = Algorithm(distill=distill, work=work)
