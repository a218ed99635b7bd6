"""The terms of G-VBSM's loss, and the forward pass through one of several teachers that they share.

Shapes: `B` images, `C` classes, `S` entries of all statistics of a teacher side by side, `T` statistics.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from wmdd.context import Context, sent
from wmdd.methods.gvbsm import GvbsmSettings
from wmdd.methods.gvbsm.layer_statistics import as_channels, statistic_layers
from wmdd.models.committee import Committee
from wmdd.models.differentiable_moments import class_moments
from wmdd.models.taps import tap_inputs
from wmdd.stages.recovery.forward import Forward
from wmdd.stages.recovery.groups import Group
from wmdd.stages.recovery.loss import GroupLoss, Term
from wmdd.stages.recovery.terms import cross_entropy
from wmdd.stages.recovery.views import step_views
from wmdd.values import LayerStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitteeForward(Forward):
    """A pass through one teacher of a committee."""

    number: int
    """Of the teacher."""
    means: Tensor
    """`(S,)`, of what enters its layers."""
    variances: Tensor
    """`(S,)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTargets:
    """What should enter a teacher's layers, on the device."""

    means: Tensor
    """float32 `(S,)`."""
    variances: Tensor
    """float32 `(S,)`."""
    layers: tuple[str, ...]
    """Of each statistic: its layer."""
    kinds: tuple[str, ...]
    widths: tuple[int, ...]
    """Entries of each statistic; they add up to S."""
    factors: Tensor
    """`(T,)`: m of each statistic."""


def layer_targets(statistics: LayerStatistics, first: float, device: torch.device) -> LayerTargets:
    """Return a teacher's statistics as targets, of which the first layer's count `first` times."""
    factors = [first if layer == statistics.layers[0] else 1.0 for layer in statistics.layers]
    return LayerTargets(
        means=statistics.means.float().to(device),
        variances=statistics.variances.float().to(device),
        layers=statistics.layers,
        kinds=statistics.kinds,
        widths=statistics.widths,
        factors=torch.tensor(factors, device=device),
    )


def committee_loss(
    committee: Committee,
    targets: Sequence[LayerTargets],
    group: Group,
    settings: GvbsmSettings,
    ctx: Context,
) -> GroupLoss[CommitteeForward]:
    """Return the loss of a group, for which the teachers take turns; it carries the moving averages."""

    def forward(images: Tensor, step: int) -> CommitteeForward:
        number = step % len(targets)
        views = _views(images, group, step, settings, ctx)
        return committee_forward(committee, number, views, targets[number], step=step, ctx=ctx)

    statistics = LayerDistance(targets, group, settings, ctx)
    return GroupLoss(forward=forward, terms=gvbsm_terms(group, statistics, settings), carried=statistics)


def _views(images: Tensor, group: Group, step: int, settings: GvbsmSettings, ctx: Context) -> Tensor:
    """Return the views of a step: `step_views`, or with `shift` whole images moved over a margin of zeros."""
    if settings.shift == 0:
        return step_views(images, group, step, settings, ctx)
    most, size = round(settings.shift * images.shape[-1]), images.shape[-1]
    top, left = torch.randint(2 * most + 1, (2,), generator=ctx.generator("shift", step)).tolist()
    moved = F.pad(images, (most,) * 4)[..., top : top + size, left : left + size]
    return step_views(moved, group, step, settings.with_(crop_min=1.0, curriculum="none"), ctx)


def gvbsm_terms(group: Group, statistics: "LayerDistance", settings: GvbsmSettings) -> list[Term[CommitteeForward]]:
    """Return the list of terms."""
    shape = (len(group.labels), group.ipc)
    return [
        Term(name="ce_loss", weight=1.0, value=lambda forward: cross_entropy(forward, group)),
        Term(name="bn_loss", weight=settings.weight, value=statistics),
        Term(
            name="density_loss",
            weight=settings.density,
            value=lambda forward: densification(forward.views.unflatten(0, shape), settings.temperature),
        ),
    ]


def committee_forward(
    committee: Committee, number: int, views: Tensor, targets: LayerTargets, *, step: int, ctx: Context
) -> CommitteeForward:
    """Pass the views `(B, ch, R, R)` of a step through one teacher, and take the moments of what enters its layers."""
    layers = statistic_layers(committee.members[number])
    shifts = iter(targets.means.split(list(targets.widths)))
    weights = torch.full((1, len(views)), 1 / len(views), device=views.device)
    shift_of = [[next(shifts) for _ in kinds] for _, _, kinds in layers]
    found: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def take(position: int, x: Tensor) -> None:
        for place, kind in enumerate(layers[position][2]):
            values = as_channels(x, kind)
            found[position, place] = class_moments(values, weights, shift=shift_of[position][place])

    with tap_inputs((layer for _, layer, _ in layers), take), ctx.autocast():
        logits = committee.member_logits(number, views.contiguous(memory_format=torch.channels_last)).float()
    means, variances = (torch.cat([found[key][part][0] for key in sorted(found)]) for part in (0, 1))
    return CommitteeForward(step=step, views=views, logits=logits, number=number, means=means, variances=variances)


@dataclass(slots=True)
class MovingAverage:
    """Exponential moving average of statistics, of which parts may sit a step out.

    avg <- alpha avg + (1 - alpha) s, from avg = 0, and avg / (1 - alpha^n) after n steps, so that the first value is s
    itself. Differs from G-VBSM's code, which starts from 0 without this correction: a fifth of the true value in the
    first step for alpha = 0.8.

    Shapes: `S` entries.
    """

    decay: float
    """alpha; 0 = the latest step alone."""
    average: Tensor
    """`(S,)`, uncorrected."""
    steps: Tensor
    """`(S,)`: n, how often each entry took part."""

    @classmethod
    def empty(cls, like: Tensor, decay: float) -> "MovingAverage":
        """Return the average of nothing yet."""
        return cls(decay, torch.zeros_like(like), torch.zeros_like(like))

    def follow(self, values: Tensor, taking_part: Tensor) -> Tensor:
        """Add `values` `(S,)` where `taking_part`; return the corrected average with the gradient of `values`.

        Entries that have never taken part are 0.
        """
        latest = values.detach().to(self.average.dtype)
        self.average = torch.where(taking_part, self.decay * self.average + (1 - self.decay) * latest, self.average)
        self.steps = self.steps + taking_part
        corrected = self.average / (1 - self.decay ** self.steps.clamp(min=1))
        return corrected + values - latest


class LayerDistance:
    """Sum over statistics of m ||EMA(s(x)) - s||, for means and for variances; carries the moving averages.

    They belong to a group and a teacher; each call takes in the moments of a further step.
    """

    def __init__(self, targets: Sequence[LayerTargets], group: Group, settings: GvbsmSettings, ctx: Context) -> None:
        self._targets, self._group, self._settings, self._ctx = targets, group, settings, ctx
        self._averages = [
            {
                "mean": MovingAverage.empty(each.means, settings.ema),
                "variance": MovingAverage.empty(each.variances, settings.ema),
            }
            for each in targets
        ]

    def __call__(self, forward: CommitteeForward) -> Tensor:
        """Return the distance, a scalar: unsquared norms, of the layers that take part in this step."""
        targets, averages = self._targets[forward.number], self._averages[forward.number]
        present = torch.tensor(self._present(targets, forward.step))
        entries = sent(present.repeat_interleave(torch.tensor(targets.widths)), forward.means.device)
        distances: list[Tensor] = []
        for average, values, wanted in (
            (averages["mean"], forward.means, targets.means),
            (averages["variance"], forward.variances, targets.variances),
        ):
            compared = torch.where(entries, average.follow(values, entries), wanted)
            norms = [torch.linalg.vector_norm(part) for part in (compared - wanted).split(list(targets.widths))]
            distances.append((targets.factors * torch.stack(norms)).sum())
        return distances[0] + distances[1]

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the moving averages as named tensors."""
        return {
            f"{number}.{name}.{part}": value
            for number, both in enumerate(self._averages)
            for name, each in both.items()
            for part, value in (("average", each.average), ("steps", each.steps))
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the moving averages from `tensors`."""
        for number, both in enumerate(self._averages):
            for name, each in both.items():
                each.average = tensors[f"{number}.{name}.average"].to(each.average.device)
                each.steps = tensors[f"{number}.{name}.steps"].to(each.steps.device)

    def _present(self, targets: LayerTargets, step: int) -> list[bool]:
        """Return for each statistic whether its layer takes part: whole convolutions are dropped at random."""
        convolutions = dict.fromkeys(
            layer for layer, kind in zip(targets.layers, targets.kinds, strict=True) if kind == "patches"
        )
        generator = self._ctx.generator("drop", *self._group.labels[:1], step)
        kept = torch.rand(len(convolutions), generator=generator) >= self._settings.drop
        stays = dict(zip(convolutions, kept.tolist(), strict=True))
        return [stays.get(layer, True) for layer in targets.layers]


def densification(images: Tensor, temperature: float) -> Tensor:
    """Return sum_k KL( softmax(l_k / tau) || softmax(l_k) ), l_k the eigenvalues of a class's Gram matrix over D.

    The first argument is held fixed: eigenvalues are drawn towards more equal ones. D = ch * R² is the number of values
    of an image. Differs from the reference code, which does not divide: there the eigenvalues are in the thousands,
    both distributions have a single point, and value and gradient are 0 in float32. 0 for one image a class.

    Args:
        images: `(G, K, ...)`, the K images of each of G classes.
        temperature: tau, above 1.
    """
    flat = images.flatten(2)
    eigenvalues = torch.linalg.eigvalsh(flat @ flat.mT / flat.shape[2])
    wanted = F.log_softmax(eigenvalues.detach() / temperature, dim=1)
    return F.kl_div(F.log_softmax(eigenvalues, dim=1), wanted, reduction="sum", log_target=True)
