"""Stage 4, recover: optimise images until their features hit the atoms, held natural by BatchNorm statistics.

For class k with images x_kj, atoms b_kj and weights w_kj (arXiv:2311.18531):

    L_k = (1/K) sum_j ||f(view(x_kj)) - b_kj||²  +  lambda * sum_l (||mu_kl(x) - mu_kl||² + ||var_kl(x) - var_kl||²)

with the w-weighted moments of each BatchNorm layer's input over the class's images and positions; the loss is the sum
over classes. Differs from the paper: the feature term is a mean over the class's images, so that lambda does not depend
on IPC. A class's loss depends on that class alone: grouping does not change the answer beyond rounding (`bn="global"`
and `form="reference"` couple the classes of a group by definition). Views are drawn per image. See
`stages/_matching.py` for the losses and docs/differences.md for what the reference code does instead.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.data.loading import centre_crop, to_float
from wmdd.errors import NumericsError
from wmdd.models import build_teacher, require_batchnorm
from wmdd.settings import RecoverSettings
from wmdd.stages._matching import Losses, Targets, draw_step_views, group_targets, image_weights, match
from wmdd.stages._stage import Stage
from wmdd.stages.statistics import require_same_classes
from wmdd.values import Barycenters, ClassStatistics, DistilledSet, ImageSet, Teacher

BETAS = (0.5, 0.9)
ROWS = 100


@dataclass(slots=True, kw_only=True)
class _State:
    """Images `(G·K, ch, R, R)` under optimisation, with Adam's moments and the number of steps done."""

    images: Tensor
    optimiser: torch.optim.Adam
    step: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """Return all state as named tensors."""
        moments = self.optimiser.state_dict()["state"].get(0, {})
        return {"images": self.images.detach(), **moments}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What all groups have in common."""

    model: nn.Module
    train: ImageSet
    teacher: Teacher
    settings: RecoverSettings
    groups: int
    ctx: Context


def recover(
    train: ImageSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    barycenters: Barycenters,
    settings: RecoverSettings,
    *,
    method: str = "wmdd",
    ctx: Context | None = None,
) -> DistilledSet:
    """Return as many images per class as there are atoms.

    Args:
        train: real images, for `start="real"` and for the class order.
        teacher: a network with BatchNorm.
        statistics: its moments of each class.
        barycenters: atoms and weights.
        settings: losses and optimisation.
        method: name that the set will carry.
        ctx: surroundings; the unit of work is a group of classes.

    Raises:
        ConfigError: the teacher has no BatchNorm layer.
        DataError: teacher and images disagree about classes.
    """
    ctx = ctx or Context()
    require_same_classes(teacher, train)
    model = build_teacher(teacher, ctx.device)
    require_batchnorm(model, teacher.spec.arch)
    num_classes, ipc, _ = barycenters.atoms.shape
    groups = group_classes(num_classes, ipc, settings.batch)
    job = _Job(model=model, train=train, teacher=teacher, settings=settings, groups=len(groups), ctx=ctx)
    pixels = [
        _one_group(job, group_targets(statistics, barycenters, labels, settings, ctx.device), number)
        for number, labels in enumerate(groups)
    ]
    return DistilledSet(
        method=method,
        images=torch.cat(pixels),
        labels=torch.arange(num_classes).repeat_interleave(ipc),
        weights=image_weights(barycenters, settings).flatten().float(),
        classes=teacher.classes,
        mean=teacher.mean,
        std=teacher.std,
    )


def group_classes(num_classes: int, ipc: int, batch: int) -> list[tuple[int, ...]]:
    """Return the labels that are optimised together: as many whole classes as fit in `batch` images, at least one."""
    size = max(1, batch // ipc)
    return [tuple(range(first, min(first + size, num_classes))) for first in range(0, num_classes, size)]


def _one_group(job: _Job, targets: Targets, number: int) -> Tensor:
    """Optimise the images of one group of classes; return them as uint8 `(G·K, ch, R, R)`."""
    name = f"group-{number:05d}"
    state = _begin(job, targets, name)
    while state.step < job.settings.iterations:
        losses = _step(job, state, targets)
        if state.step == job.settings.iterations:
            _require_finite(losses, targets)
        _report(job, losses, state.step, targets, number)
        if state.step == job.settings.iterations:
            job.ctx.save(name, {"images": state.images.detach()}, step=state.step)
        elif job.ctx.due():
            job.ctx.save(name, state.tensors(), step=state.step)
    return to_pixels(state.images.detach(), job.teacher)


def _require_finite(losses: Losses, targets: Targets) -> None:
    """Raise `NumericsError` if the optimisation left the range of numbers."""
    if not bool(torch.isfinite(losses.total.detach())):
        raise NumericsError(
            f"recovery of classes {targets.labels[0]} to {targets.labels[-1]} diverged; got loss "
            f"{float(losses.total.detach())}; lower recover.lr or recover.bn_weight"
        )


def _begin(job: _Job, targets: Targets, name: str) -> _State:
    """Return the saved state of a group, or a fresh start."""
    saved = job.ctx.restore(name)
    images = (
        saved.tensors["images"]
        if saved
        else start_images(job.train, job.teacher, targets, job.settings.start, ctx=job.ctx)
    )
    images = images.to(job.ctx.device, memory_format=torch.channels_last).requires_grad_()
    optimiser = torch.optim.Adam([images], job.settings.lr, betas=BETAS)
    if saved is None:
        return _State(images=images, optimiser=optimiser)
    moments = {key: value for key, value in saved.tensors.items() if key != "images"}
    if not moments:  # a finished group keeps its images alone
        return _State(images=images, optimiser=optimiser, step=int(saved.facts["step"]))
    optimiser.load_state_dict({"state": {0: moments}, "param_groups": optimiser.state_dict()["param_groups"]})
    return _State(images=images, optimiser=optimiser, step=int(saved.facts["step"]))


def start_images(train: ImageSet, teacher: Teacher, targets: Targets, start: str, *, ctx: Context) -> Tensor:
    """Return the images that a group starts from, float32 `(G·K, ch, R, R)`, normalised."""
    side, parts = teacher.spec.image_size, []
    for label in targets.labels:
        generator = ctx.generator("start", label)
        if start == "noise":
            parts.append(torch.randn(targets.ipc, teacher.spec.channels, side, side, generator=generator))
        else:
            members = train.of_class(label)
            chosen = members[torch.randperm(len(members), generator=generator)[: targets.ipc]]
            pixels = centre_crop(train.images.fetch(chosen.tolist()), side)
            parts.append(to_float(pixels, teacher.mean, teacher.std))
    return torch.cat(parts)


def _step(job: _Job, state: _State, targets: Targets) -> Losses:
    """Take one Adam step and clip to the valid pixel range."""
    settings = job.settings
    rate = settings.lr * (1 + math.cos(math.pi * state.step / settings.iterations)) / 2
    state.optimiser.param_groups[0]["lr"] = rate
    views = draw_step_views(state.images.shape[-1], targets, state.step, settings, job.ctx)
    losses = match(job.model, state.images, views, targets, settings=settings, ctx=job.ctx)
    state.optimiser.zero_grad(set_to_none=True)
    losses.total.backward()
    state.optimiser.step()
    with torch.no_grad():
        torch.clamp_(state.images, *_pixel_limits(job.teacher, state.images.device))
    state.step += 1
    return losses


def _report(job: _Job, losses: Losses, step: int, targets: Targets, number: int) -> None:
    """Log about a hundred rows a group, and tell how far we are."""
    iterations = job.settings.iterations
    job.ctx.progress(number * iterations + step, job.groups * iterations)
    if step % max(1, iterations // ROWS) == 0 or step == iterations:
        unit = f"classes {targets.labels[0]} to {targets.labels[-1]}"
        job.ctx.log(unit=unit, step=step, **losses.figures())


def _pixel_limits(teacher: Teacher, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return black and white in normalised pixels, `(1, ch, 1, 1)` each."""
    mean = torch.tensor(teacher.mean, device=device).view(1, -1, 1, 1)
    std = torch.tensor(teacher.std, device=device).view(1, -1, 1, 1)
    return -mean / std, (1 - mean) / std


def to_pixels(images: Tensor, teacher: Teacher) -> Tensor:
    """Return normalised images as uint8 on the CPU, rounded to nearest (the reference code truncates)."""
    mean = torch.tensor(teacher.mean, device=images.device).view(1, -1, 1, 1)
    std = torch.tensor(teacher.std, device=images.device).view(1, -1, 1, 1)
    return ((images * std + mean).clamp(0, 1) * 255).round().to(torch.uint8).cpu().contiguous()


RECOVER = Stage(name="recover", version=1, run=recover, output=DistilledSet)
