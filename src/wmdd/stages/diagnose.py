"""Beside the chain, diagnose: how near a distilled set lies to the real features, by the measures of the theory.

Per class, in the teacher's feature space: W2² to the real features beside what k-means reaches and what random picks
cost; W1; and the bound |E_real g − E_set g| ≤ Lip(g) · W1 for two functions g of the feature, the teacher's last layer
and its cross-entropy against the class. Beside it the kernel's side: the distance of the means and MMD under Gaussians,
and the bounds that they give for the same functions. The mathematics is `wmdd.ot`. Real features are those of the
statistics stage; the images are not augmented; the teacher is in eval mode and in fp32, as it was for the real ones.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from wmdd import ot
from wmdd.context import Context, Saved, stream_seed
from wmdd.data.inputs import distilled_inputs
from wmdd.errors import DataError
from wmdd.evaluation.accuracy import BATCH
from wmdd.mapped import Gathered, taken
from wmdd.models.building import build_teacher
from wmdd.models.taps import features_and_logits, final_classifier
from wmdd.ot.cost import Float64
from wmdd.settings import NoSettings
from wmdd.stages.barycenter import BARYCENTER, class_problems
from wmdd.stages.classes import classes_in_threads
from wmdd.stages.stage import Stage
from wmdd.values import ClassStatistics, Diagnosis, DistilledSet, Teacher

DRAWS = 10
"""Random picks that a class's cost is averaged over."""
KERNEL_POINTS = 1000
"""Real features of a class, spread evenly over it, that the kernel's bound is measured on; all of a smaller class."""
_ROUNDING = 1e-3
"""Largest difference, relative to the largest logit, at which logits count as an affine map of the features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """What every class is measured with."""

    distilled: DistilledSet
    statistics: ClassStatistics
    features: Tensor
    """float32 `(M, D)`: of the distilled images."""
    head: ot.Affine | None
    """The teacher's last layer; None if it does not map the features to the logits."""
    head_lipschitz: float
    """Of that layer; the only constant that all classes share."""
    starts: int
    """Of k-means."""
    ctx: Context


def diagnose(
    distilled: DistilledSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    settings: NoSettings,
    *,
    starts: int = 1,
    ctx: Context | None = None,
) -> Diagnosis:
    """Return how near `distilled` lies to the features in `statistics`, which are the same teacher's.

    The k-means beside is the best of `starts` runs, from the starts of the barycenter stage. Classes are measured in
    threads, each with random streams of its own. Memory holds the classes in flight.

    Raises:
        DataError: set, teacher and statistics disagree about the classes, or a class has no images or more than real
            ones.
    """
    del settings
    ctx = ctx or Context()
    teacher.require_classes(distilled.classes)
    _require_fitting(distilled, statistics)
    features, head = _features_and_head(build_teacher(teacher, ctx.device), distilled, ctx)
    lipschitz = 0.0 if head is None else ot.affine_lipschitz(head)
    inputs = _Inputs(
        distilled=distilled,
        statistics=statistics,
        features=features,
        head=head,
        head_lipschitz=lipschitz,
        starts=starts,
        ctx=ctx,
    )
    if head is None:
        ctx.log(unit="bounds", left_out="the teacher's logits are not an affine map of its features")
    found = classes_in_threads(
        partial(_measure_class, inputs),
        len(statistics.counts),
        row=lambda measured: {name: float(value) for name, value in measured.tensors.items()},
        ctx=ctx,
    )
    return Diagnosis(set=distilled.method, **{f"{name}s": values for name, values in found.tensors.items()})


def _require_fitting(distilled: DistilledSet, statistics: ClassStatistics) -> None:
    """Refuse statistics of other classes than the set's, and classes without images or with more than were real."""
    counts = statistics.counts
    if len(counts) != len(distilled.classes):
        raise DataError(
            f"set and statistics have different numbers of classes; got {len(distilled.classes)} and {len(counts)}; "
            "give those of one run"
        )
    images = torch.bincount(distilled.labels, minlength=len(counts)).tolist()
    for name, few, many in zip(distilled.classes, images, counts, strict=True):
        if not 1 <= few <= many:
            raise DataError(
                f"a class needs 1 image or more, and no more than real ones; got {few} of {name} for {many} real ones; "
                "give a set and the statistics of one run"
            )


def _features_and_head(model: nn.Module, distilled: DistilledSet, ctx: Context) -> tuple[Tensor, ot.Affine | None]:
    """Return the features `(M, D)` of the images, and the last layer if it maps them to the logits."""
    layer = final_classifier(model)
    affine = True
    found = Gathered(count=len(distilled.labels), make=ctx.scratch)
    exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)  # as the real features were computed
    with exact, torch.inference_mode():
        for at in range(0, len(distilled.labels), BATCH):
            images = distilled_inputs(distilled, slice(at, at + BATCH), ctx.device)
            features, logits = features_and_logits(model, images.contiguous(memory_format=torch.channels_last))
            affine = affine and _is_affine_head(layer, features, logits)
            found.put(at, {"features": features.float().cpu()})
    return found.tensors["features"], _as_affine(layer) if affine else None


def _is_affine_head(layer: nn.Linear, features: Tensor, logits: Tensor) -> bool:
    """Return whether the layer alone maps these features to these logits: something may follow it."""
    if features.shape[1] != layer.in_features or logits.shape[1:] != (layer.out_features,):
        return False
    tolerance = _ROUNDING * float(logits.abs().max())
    return torch.allclose(layer(features), logits, rtol=0.0, atol=tolerance)


def _as_affine(layer: nn.Linear) -> ot.Affine:
    parts = {name: _array(values) for name, values in layer.state_dict().items()}
    return ot.Affine(matrix=parts["weight"], offset=parts.get("bias", np.zeros(layer.out_features)))


def _array(values: Tensor) -> Float64:
    return values.detach().cpu().numpy().astype(np.float64)


def _measure_class(inputs: _Inputs, label: int) -> Saved:
    members = inputs.distilled.labels == label
    weights = _array(inputs.distilled.weights[members])
    weights /= weights.sum()  # float32 sums to 1 only nearly
    images, points = _array(taken(inputs.features, members)), _array(inputs.statistics.of_class(label))
    # The starts that the barycenter stage takes: what is best known to it is this cost, or its own if that is lower.
    problems = class_problems(
        points, len(images), starts=inputs.starts, seed=inputs.ctx.seed, stage=BARYCENTER.name, label=label
    )
    picks_seed = stream_seed(inputs.ctx.seed, inputs.ctx.stage, label)
    random_cost, random_std = ot.random_cost(points, len(images), np.random.default_rng(picks_seed), draws=DRAWS)
    distance = ot.wasserstein1(images, points, weights).value
    figures = {
        "cost": ot.wasserstein2(images, points, weights).value,
        "kmeans_cost": min(ot.kmeans(problem).cost for problem in problems),
        "random_cost": random_cost,
        "random_std": random_std,
        "distance": distance,
        "uniform": float((weights == weights[0]).all()),
    }
    head = inputs.head
    figures["mean_distance"] = ot.mean_distance(images, points, weights)
    if head is not None:
        figures |= {
            "head_gap": ot.affine_gap(head, images, points, weights),
            "head_bound": inputs.head_lipschitz * distance,
            "loss_gap": ot.cross_entropy_gap(head, label, images, points, weights),
            "loss_bound": ot.cross_entropy_lipschitz(head, label) * distance,
            "head_mean_bound": inputs.head_lipschitz * figures["mean_distance"],
            **_kernel_figures(head, label, images, points, weights),
        }
    return Saved(tensors={name: torch.tensor(value, dtype=torch.float64) for name, value in figures.items()}, facts={})


def _kernel_figures(
    head: ot.Affine, label: int, images: Float64, points: Float64, weights: Float64
) -> dict[str, float]:
    """Return the kernel's side of the bound for the loss; all that it needs grows with the cube of the points."""
    some = points[np.linspace(0, len(points) - 1, min(len(points), KERNEL_POINTS)).round().astype(int)]
    values = (ot.cross_entropy_values(head, label, each) for each in (images, some))
    found = ot.kernel_certificate(images, some, weights, *values)
    return {
        "mmd": found.discrepancy,
        "kernel_norm": found.norm,
        "kernel_gap": found.gap,
        "kernel_bound": found.bound,
    }


DIAGNOSE = Stage(name="diagnose", version=3, run=diagnose, output=Diagnosis, networks=False, workers="units")
