"""Views of soft labels that are not stored: they are drawn again from (seed, epoch, batch), and proved to be the same.

The streams are those of `Context.generator` in the stage that labelled the views: one named (`order`, epoch) for the
order of the images, one named (`views`, epoch, batch) for the views of a batch. A stored epoch keeps eight bytes of
the SHA-256 of its views, so that answers are never paired with other views, should a library change its random numbers.
"""

from collections.abc import Mapping
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from wmdd.context import stream
from wmdd.data.views import epoch_views
from wmdd.errors import ArtifactError
from wmdd.settings import ViewSettings
from wmdd.values import DrawnViews, EpochLabels, Views

_DIGEST = "views"
_BYTES = 8


def draw_again(drawn: DrawnViews, epoch: int, *, count: int, batch: int) -> Views:
    """Return the views of an epoch of `count` images in batches of `batch`, M rows.

    Raises:
        ArtifactError: it is not known from which seed they were drawn.
    """
    if drawn.seed is None:
        raise ArtifactError("views cannot be drawn again; got labels without their seed; label the set again")
    seed, stage = drawn.seed, drawn.stage
    return epoch_views(
        count,
        batch,
        drawn.side,
        drawn.side,
        ViewSettings(crop_min=drawn.crop_min, flip=drawn.flip, cutmix=drawn.cutmix),
        generator_for=lambda number: stream(seed, stage, "views", epoch, number),
        shuffle=stream(seed, stage, "order", epoch),
    )


def stored_tensors(labels: EpochLabels, *, redrawn: bool) -> dict[str, Tensor]:
    """Return what is stored of an epoch: views and answers, or answers and the digest of views that are not stored."""
    return labels.answers() | {_DIGEST: _digest(labels.views)} if redrawn else labels.tensors()


def labels_of(tensors: Mapping[str, Tensor], views: Views | None) -> EpochLabels:
    """Return the epoch of which `stored_tensors` are these; `views` as drawn again, None if they are stored.

    Raises:
        KeyError: a tensor is missing.
        ArtifactError: the views are not those that were labelled.
    """
    if views is not None and not torch.equal(tensors[_DIGEST], _digest(views)):
        raise ArtifactError(
            "views drawn again are not those that were labelled; got another digest, from a version of torch or numpy "
            "with other random numbers, or a damaged file; use the versions on the set's card, or label the set again"
        )
    return EpochLabels.of(tensors, views)


def same_views(one: Views, other: Views) -> bool:
    """Tell whether two lists of views are equal."""
    return torch.equal(_digest(one), _digest(other))


def _digest(views: Views) -> Tensor:
    """Return the first bytes of the SHA-256 of all columns, uint8 `(8,)`."""
    found = sha256()
    for name in Views.__slots__:
        found.update(np.ascontiguousarray(getattr(views, name).numpy()).tobytes())
    return torch.frombuffer(bytearray(found.digest()[:_BYTES]), dtype=torch.uint8)
