"""The views of a group's images in a step, drawn anew each time."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from wmdd.context import Context
from wmdd.data.views import concatenate, crop_and_flip, draw_views, spread_boxes
from wmdd.settings import OptimisationSettings, ViewSettings
from wmdd.stages.recovery.groups import Group
from wmdd.values import Views


def step_views(
    images: Tensor, group: Group, step: int, settings: OptimisationSettings, ctx: Context, *, spread: bool = False
) -> Tensor:
    """Return the views in a step of a group's images, both `(G·K, ch, R, R)`.

    `spread` places their boxes so that every pixel is seen equally often, the border too (`spread_boxes`).
    """
    size = images.shape[-1]
    drawn = draw_step_views(size, group, step, settings, ctx, spread=spread)
    views = crop_and_flip(images, drawn.crop, drawn.flip, size, reflect=spread)
    if settings.roll == 0:
        return views
    offsets = torch.randint(settings.roll + 1, (2,), generator=ctx.generator("roll", step)).tolist()
    return views.roll(tuple(offsets), dims=(2, 3))  # the same for all images, as in SRe2L's code


def draw_step_views(
    size: int, group: Group, step: int, settings: OptimisationSettings, ctx: Context, *, spread: bool = False
) -> Views:
    """Draw the views of one step: per image from each class's own stream; one for all in the reference form."""
    views = ViewSettings(crop_min=smallest_crop(settings, step), flip=settings.flip)

    def draw(index: Tensor, label: int) -> Views:
        generator = ctx.generator("views", *group.stream(label), step)
        drawn = draw_views(index, size, size, views, generator)
        return replace(drawn, crop=spread_boxes(drawn.crop, size, generator)) if spread else drawn

    if settings.shared_view:
        return concatenate([draw(torch.zeros(1, dtype=torch.int64), group.labels[0])] * group.ipc * len(group.labels))
    return concatenate([draw(torch.arange(group.ipc), label) for label in group.labels])


def smallest_crop(settings: OptimisationSettings, step: int) -> float:
    """Return the smallest share of the area that a crop keeps in a step, counted from 0.

    Curriculum of CDA (arXiv:2311.18838): from 1 to e = `curriculum_end` while p goes from 0 to 1 at the milestone.
    Cosine: e + (1 - e)(1 + cos(pi p)) / 2. Linear: 1 - (1 - e) p. Step: 1 before the milestone, e from there on.
    """
    if settings.curriculum == "none":
        return settings.crop_min
    done = min(1.0, step / (settings.curriculum_milestone * settings.iterations))
    left = {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "step": float(done < 1)}
    return settings.curriculum_end + (1 - settings.curriculum_end) * left[settings.curriculum]
