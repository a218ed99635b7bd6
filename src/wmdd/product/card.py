"""The data-set card (README.md) of a distilled set, and the picture at its head; the text is in `card.md.j2`."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from torch.nn.functional import pad

from wmdd.product.png import encode_png
from wmdd.product.reading import exact_tensors
from wmdd.values import DistilledSet, SoftLabels

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_PREVIEW = 10
"""Largest number of classes, and of images per class, in the picture."""
_FACTS = (
    *("title", "bibtex", "source", "real", "split", "tested", "kind", "teacher", "results", "networks", "protocols"),
    *("drawn", "warnings", "settings", "machine", "command", "versions"),
)


def card(
    distilled: DistilledSet, soft_labels: SoftLabels | None, facts: Mapping[str, Any], *, sizes: Mapping[str, int]
) -> str:
    """Return the card in Markdown, with the YAML head that the Hub and `datasets` read.

    Args:
        distilled: the set.
        soft_labels: its soft labels; None = the folder has none.
        facts: all optional: `data` (name of the source data) and its `license`; of the method, `title` (else its name),
            `source` (papers), `bibtex` (ending in a line break) and `real` (whether its images are real ones);
            `split` (its training and test images), `tested` (number of the latter) and `kind` (`"development"` if they
            stand in for the test images); `teacher` (`arch`, `top1`);
            `results` (rows of the accuracy table, as text); `networks` (name: definition); `protocols` (name: rules);
            `drawn` (how stored views were drawn); `warnings` (lines); `settings` (nested); `machine`; `command`;
            `versions` (package: version).
        sizes: bytes of `data`, of `fkd`, and of `exact` if there is such a file.
    """
    views = soft_labels if soft_labels is not None and soft_labels.epochs else None
    return _template().render(
        {**dict.fromkeys(_FACTS), **facts},
        head=_head(distilled, views, facts),
        method=distilled.method,
        count=len(distilled.labels),
        classes=len(distilled.classes),
        side=distilled.image_size,
        channels=distilled.images.shape[1],
        mean=distilled.mean,
        std=distilled.std,
        exact=list(exact_tensors(distilled)),
        labelled=soft_labels is not None,
        views=views,
        tables=_has_tables(views),
        sizes={"exact": 0, **sizes},
    )


def preview(distilled: DistilledSet) -> bytes:
    """Return a PNG of the first images of the first classes, one class per row, with white lines between them."""
    classes = range(min(len(distilled.classes), _PREVIEW))
    rows = [pad(distilled.images[distilled.labels == k][:_PREVIEW], (0, 1, 0, 1), value=255) for k in classes]
    return encode_png(torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1))


def _template() -> Any:
    environment = Environment(  # for text, not HTML: nothing is escaped
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"yaml": _yaml, "vector": _vector}
    return environment.get_template("card.md.j2")


def _yaml(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True)


def _vector(values: Iterable[float]) -> str:
    return "(" + ", ".join(f"{value:.4f}" for value in values) + ")"


def _head(distilled: DistilledSet, views: SoftLabels | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata that the Hub indexes; `pretty_name` is also the card's title."""
    count = len(distilled.labels)
    images = "1 image" if distilled.ipc == 1 else f"{distilled.ipc} images"
    folders = {"default": "data", **({"fkd": "fkd"} if _has_tables(views) else {})}
    papers = re.findall(r"arXiv:(\d+\.\d+)", str(facts.get("source", "")))
    synthetic = [] if facts.get("real") else ["synthetic"]
    head = {
        "license": "other",
        "license_name": facts.get("license", "as-source-data"),
        "pretty_name": f"{facts.get('data', 'Images')} distilled by {facts.get('title', distilled.method)}, "
        f"{images} a class",
        "task_categories": ["image-classification"],
        "size_categories": [next((name for limit, name in _SIZES if count < limit), "n>1M")],
        "annotations_creators": ["machine-generated"],
        "tags": [
            "dataset-distillation",
            "dataset-condensation",
            *synthetic,
            distilled.method,
            *(f"arxiv:{paper}" for paper in papers),
        ],
        "configs": [_config(name, folder) for name, folder in folders.items()],
    }
    return head if "data" not in facts else {**head, "source_datasets": [f"extended|{facts['data']}"]}


def _has_tables(views: SoftLabels | None) -> bool:
    """Tell whether the soft labels are tables that `datasets` reads."""
    return views is not None and views.store == "full"


def _config(name: str, folder: str) -> dict[str, Any]:
    default = {"default": True} if name == "default" else {}
    return {
        "config_name": name,
        **default,
        "data_files": [{"split": "train", "path": f"{folder}/train-*.parquet"}],
    }
