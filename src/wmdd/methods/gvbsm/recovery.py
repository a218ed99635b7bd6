"""G-VBSM: images on which several teachers agree, under the statistics of all their layers, kept apart in each class.

Shao et al., CVPR 2024, arXiv:2311.17950. Step t asks teacher t mod n:

    L = CE(f(view(x)), y)  +  w * sum_l m_l ( ||EMA(mu_l(x)) - mu_l|| + ||EMA(var_l(x)) - var_l|| )  +  d * DD(view(x))

l goes over the moments of what enters each BatchNorm and each convolution (channels, and patches of 4 x 4), m_l is
`gvbsm.first` for the first layer and 1 for the others; a convolution sits a step out with probability `gvbsm.drop`.
Moving averages belong to a group and a teacher; they have the value of many visits and the gradient of the latest
(`training/averages.py`). DD is data densification (`training/densification.py`). A group is as many whole classes as
fit in `recover.batch`, with moments over all its images.

Of `recover` it reads iterations, lr, start, batch and the views; the losses are its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from wmdd.context import Context
from wmdd.methods.gvbsm import GvbsmRecoverSettings
from wmdd.methods.gvbsm.averages import MovingAverage
from wmdd.methods.gvbsm.densification import densification
from wmdd.methods.gvbsm.layers import as_channels, statistic_layers
from wmdd.models import Committee, class_moments, tap_inputs
from wmdd.stages.recovery.descent import GroupLoss, Inversion, group_classes, invert_groups
from wmdd.stages.recovery.matching import Group
from wmdd.stages.recovery.views import step_looks
from wmdd.stages.stage import Stage
from wmdd.training.images import Carried
from wmdd.values import DistilledSet, ImageSet, LayerStatistics, Teacher


def recover_gvbsm(
    train: ImageSet,
    teachers: Sequence[Teacher],
    statistics: Sequence[LayerStatistics],
    settings: GvbsmRecoverSettings,
    *,
    ipc: int,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return `ipc` images of each class, all of equal weight, normalised as the first teacher wants them.

    Args:
        train: real images, for `start="real"` and for the class order.
        teachers: at least one.
        statistics: of each teacher, in the same order.
        settings: losses, optimisation and views.
        ipc: images of each class.
        ctx: surroundings; the unit of work is a group of classes, a step inside it.

    Raises:
        DataError: a teacher and the images disagree about classes.
        NumericsError: the loss is not finite any more.
    """
    ctx = ctx or Context()
    for teacher in teachers:
        teacher.require_classes(train.classes)
    committee = Committee(teachers, ctx.device).eval()
    targets = [_targets(each, settings.gvbsm.first, ctx.device) for each in statistics]
    num_classes = len(train.classes)
    labels = group_classes(num_classes, ipc, settings.recover.batch)
    groups = tuple(Group(labels=each, ipc=ipc) for each in labels)
    job = Inversion(train=train, teacher=teachers[0], settings=settings.recover, groups=groups, ctx=ctx)

    def begin(group: Group, start: Tensor) -> tuple[GroupLoss, Carried]:
        del start
        loss = CommitteeLoss(committee, targets, group, settings, ctx=ctx)
        return loss, loss

    return invert_groups(job, "gvbsm", begin, weights=torch.full((num_classes, ipc), 1 / ipc))


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTargets:
    """What a teacher's layers shall see, on the device; entries of all terms side by side, S in all."""

    means: Tensor
    """float32 `(S,)`."""
    variances: Tensor
    """float32 `(S,)`."""
    layers: tuple[str, ...]
    """Of each term: its layer."""
    kinds: tuple[str, ...]
    widths: tuple[int, ...]
    factors: Tensor
    """`(T,)`: m of each term."""


def _targets(statistics: LayerStatistics, first: float, device: torch.device) -> LayerTargets:
    """Return a teacher's statistics as targets."""
    factors = [first if layer == statistics.layers[0] else 1.0 for layer in statistics.layers]
    return LayerTargets(
        means=statistics.means.float().to(device),
        variances=statistics.variances.float().to(device),
        layers=statistics.layers,
        kinds=statistics.kinds,
        widths=statistics.widths,
        factors=torch.tensor(factors, device=device),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GvbsmLosses:
    """One step's loss and its terms, as scalars."""

    total: Tensor
    entropy: Tensor
    statistics: Tensor
    density: Tensor

    def figures(self) -> dict[str, float]:
        """Return the terms as numbers for the log."""
        terms = {"feature_loss": self.entropy, "bn_loss": self.statistics, "density_loss": self.density}
        return {name: float(value.detach()) for name, value in terms.items()}


class CommitteeLoss:
    """The loss of a group of images; carries the moving averages of each teacher's statistics."""

    def __init__(
        self,
        committee: Committee,
        targets: Sequence[LayerTargets],
        group: Group,
        settings: GvbsmRecoverSettings,
        *,
        ctx: Context,
    ) -> None:
        self._committee, self._targets, self._group = committee, targets, group
        self._settings, self._ctx = settings, ctx
        decay = settings.gvbsm.ema
        self._averages = [
            {"mean": MovingAverage.empty(each.means, decay), "variance": MovingAverage.empty(each.variances, decay)}
            for each in targets
        ]

    def __call__(self, images: Tensor, step: int) -> GvbsmLosses:
        """Return the loss of images `(G·K, ch, R, R)` in a step."""
        group, own = self._group, self._settings.gvbsm
        looks = step_looks(images, group, step, self._settings.recover, self._ctx)
        number = step % len(self._targets)
        logits, means, variances = self._observe(number, looks)
        entropy = F.cross_entropy(logits, group.classes(logits.device))
        statistics = self._statistics(number, step, means, variances)
        density = densification(looks.view(len(group.labels), group.ipc, *looks.shape[1:]), own.temperature)
        total = entropy + own.weight * statistics + own.density * density
        return GvbsmLosses(total=total, entropy=entropy, statistics=statistics, density=density)

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the moving averages as named tensors."""
        return {
            f"{number}.{name}.{part}": value
            for number, both in enumerate(self._averages)
            for name, each in both.items()
            for part, value in (("average", each.average), ("steps", each.steps))
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the moving averages that `tensors` gave."""
        for number, both in enumerate(self._averages):
            for name, each in both.items():
                each.average = tensors[f"{number}.{name}.average"].to(each.average.device)
                each.steps = tensors[f"{number}.{name}.steps"].to(each.steps.device)

    def _observe(self, number: int, looks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits `(B, C)` of one teacher, and means and variances `(S,)` of what enters its layers."""
        targets = self._targets[number]
        layers = statistic_layers(self._committee.members[number])
        shifts = iter(targets.means.split(list(targets.widths)))
        weights = torch.full((1, len(looks)), 1 / len(looks), device=looks.device)
        shift_of = [[next(shifts) for _ in kinds] for _, _, kinds in layers]
        found: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

        def take(position: int, x: Tensor) -> None:
            for term, kind in enumerate(layers[position][2]):
                values = as_channels(x, kind)
                found[position, term] = class_moments(values, weights, shift=shift_of[position][term])

        with tap_inputs((layer for _, layer, _ in layers), take), self._ctx.autocast():
            logits = self._committee.member_logits(number, looks.contiguous(memory_format=torch.channels_last)).float()
        means, variances = (torch.cat([found[key][part][0] for key in sorted(found)]) for part in (0, 1))
        return logits, means, variances

    def _statistics(self, number: int, step: int, means: Tensor, variances: Tensor) -> Tensor:
        """Return the term of the statistics: unsquared norms, of the layers that take part in this step."""
        targets, averages = self._targets[number], self._averages[number]
        present = torch.tensor(self._present(targets, step), device=means.device)
        entries = present.repeat_interleave(torch.tensor(targets.widths, device=means.device))
        distances: list[Tensor] = []
        pairs = ((averages["mean"], means, targets.means), (averages["variance"], variances, targets.variances))
        for average, values, wanted in pairs:
            seen = torch.where(entries, average.follow(values, entries), wanted)
            norms = [torch.linalg.vector_norm(part) for part in (seen - wanted).split(list(targets.widths))]
            distances.append((targets.factors * torch.stack(norms)).sum())
        return distances[0] + distances[1]

    def _present(self, targets: LayerTargets, step: int) -> list[bool]:
        """Tell of each term whether its layer takes part: convolutions are dropped at random, each as a whole."""
        convolutions = dict.fromkeys(
            layer for layer, kind in zip(targets.layers, targets.kinds, strict=True) if kind == "patches"
        )
        generator = self._ctx.generator("drop", *self._group.labels[:1], step)
        kept = torch.rand(len(convolutions), generator=generator) >= self._settings.gvbsm.drop
        stays = dict(zip(convolutions, kept.tolist(), strict=True))
        return [stays.get(layer, True) for layer in targets.layers]


GVBSM = Stage(name="gvbsm", version=1, run=recover_gvbsm, output=DistilledSet)
