"""DataDAM: images whose mean attention maps and features are those of real images, for many random networks.

The attention map of an activation f `(channels, H, W)` is A(f) = sum_c |f_c|^p, and z = A / ||A|| over its H W
positions. For class c, the ReLU layers l = 1 ... L of a network with random weights, its features g, and a Siamese
transform, drawn anew for each class and iteration, the same for both sides:

    L = 100 sum_c [ sum_{l < L} || mean_b z_l(real_cb) - mean_i z_l(X_ci) ||²
                    + lambda || mean_b g(real_cb) - mean_i g(X_ci) ||² ]

Sajedi et al., ICCV 2023 (arXiv:2310.00093); the last term is their MMD, with a linear kernel. The factor 100 is that of
the authors' code; the learning rates belong to it. Differs from that code as DM does (`methods/dm/distill.py`).
"""

from collections.abc import Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.errors import ConfigError
from wmdd.methods.algorithm import Algorithm, Result, Stages
from wmdd.methods.datadam import DatadamSettings
from wmdd.methods.kits.means import match_statistics, mean_work
from wmdd.models.taps import features_and_logits, tap_outputs
from wmdd.settings import Recipe
from wmdd.stages.stage import Stage
from wmdd.values import DistilledSet, ImageSet, Teacher

SCALE = 100.0


def match_attention(
    train: ImageSet, teacher: Teacher, settings: DatadamSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` images of each class, under the class order and the normalisation of `teacher`.

    The unit of work is an iteration.

    Raises:
        ConfigError: the architecture is unknown, has fewer than two ReLU layers, or the images do not suit it.
        NumericsError: the loss is not finite any more.
    """
    return match_statistics(
        train,
        teacher,
        settings,
        ipc=ipc,
        method="datadam",
        statistics=partial(attention_and_features, power=settings.power),
        weights=partial(term_weights, settings.weight),
        ctx=ctx or Context(),
    )


def term_weights(weight: float, count: int) -> Sequence[float]:
    """Return the weights of `count` - 1 attention maps and of the features behind them."""
    return (*[SCALE] * (count - 1), SCALE * weight)


def attention_and_features(model: nn.Module, images: Tensor, *, power: float) -> Sequence[Tensor]:
    """Return the mean attention map of each ReLU layer but the last, `(H W,)` each, and the mean features `(D,)`.

    Raises:
        ConfigError: the network has fewer than two ReLU layers.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.ReLU)]
    if len(layers) < 2:
        raise ConfigError(
            f"attention is matched at all ReLU layers but the last; got a network with {len(layers)}; set datadam.arch "
            "to one with two or more, such as convnet3_bn"
        )
    maps: dict[int, Tensor] = {}

    def take(position: int, activation: Tensor) -> None:
        maps[position] = attention_map(activation, power).mean(0)

    with tap_outputs(layers[:-1], take):
        features, _ = features_and_logits(model, images)
    return (*(maps[position] for position in sorted(maps)), features.float().mean(0))


def attention_map(activation: Tensor, power: float) -> Tensor:
    """Return sum_c |f_c|^p at each position of activations `(B, c, H, W)`, of unit norm: float32 `(B, H W)`.

    A map of zeros stays what it is.
    """
    return F.normalize(activation.float().abs().pow(power).sum(dim=1).flatten(1), dim=1)


MATCH_ATTENTION = Stage(name="match_attention", version=1, run=match_attention, output=DistilledSet)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Match attention maps and mean features."""
    return stages.run(MATCH_ATTENTION, train, teachers[0], settings=recipe.of(DatadamSettings), ipc=recipe.ipc)


ALGORITHM = Algorithm(distill=distill, work=mean_work(DatadamSettings))
