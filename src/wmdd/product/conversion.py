"""Full soft labels of a stored set made compact: the largest logits in 8 bits, and views that are drawn again."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wmdd.artifacts.files import writing
from wmdd.data.drawing import draw_again, same_views
from wmdd.errors import ConfigError
from wmdd.product.folders import require_unused
from wmdd.product.labels import soft_targets
from wmdd.product.reading import PortableSet
from wmdd.product.writing import write_product
from wmdd.values import EpochLabels, LazyEpochs, SoftLabels
from wmdd.values.quantising import keep_largest


def export_with_labels(distilled: PortableSet, to: Path, top_k: int, *, facts: Mapping[str, Any]) -> None:
    """Write a distilled set with its soft labels made compact, as a folder for `wmdd.load` and `datasets`.

    Raises:
        ConfigError: the set has no stored answers, or `to` exists and is not an empty folder.
        ArtifactError: `to` cannot be written, or the labels are damaged; nothing half-written stays.
    """
    labels = distilled.soft_labels
    if labels is None or not labels.epochs or labels.store == "online":
        kind = "none" if labels is None or not labels.epochs else "store 'online'"
        raise ConfigError(f"labels topk are made of stored logits; got {kind}; leave --labels out")
    with writing(to, advice="make room or choose another --to"):
        require_unused(to)
    write_product(distilled, compact(labels, top_k), to, facts=facts)


def compact(labels: SoftLabels, top_k: int) -> SoftLabels:
    """Return soft labels of which the `top_k` largest logits are kept in 8 bits.

    Views are left out if drawing them again gives the stored ones, in every epoch.
    """
    redrawn = labels.redrawn or _can_be_drawn(labels)

    def read(number: int) -> EpochLabels:
        epoch = labels.epochs[number]
        return keep_largest(epoch.views, soft_targets(epoch, labels.num_classes), top_k)

    return replace(labels, store="topk", epochs=LazyEpochs(len(labels.epochs), read), redrawn=redrawn)


def _can_be_drawn(labels: SoftLabels) -> bool:
    drawn = labels.drawn
    if drawn is None or drawn.seed is None:
        return False
    return all(
        same_views(labels.epochs[number].views, draw_again(drawn, number, count=len(labels.plain), batch=labels.batch))
        for number in range(len(labels.epochs))
    )
