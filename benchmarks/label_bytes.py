"""Bytes of soft labels for an image and an epoch, and for ImageNet-1K at ten images a class, from files' real sizes.

    python -m benchmarks.label_bytes [--classes 1000] [--ipc 2]

A set of random images is labelled by an untrained teacher and written as a product, once for each way of storing;
`benchmarks/label_sizes.py` has the accuracy that goes with them. What ImageNet-1K takes is what an image takes in an
epoch there, for 10,000 images and the epochs of protocol `wmdd`, or `passes`.
"""

import argparse
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from benchmarks.rows import Row

from wmdd.context import Context
from wmdd.models.building import build_model, resolve_spec
from wmdd.product.writing import write_product
from wmdd.settings import RelabelSettings
from wmdd.stages.relabel import relabel
from wmdd.training.pixels import class_major_set
from wmdd.values import DistilledSet, Teacher

EPOCHS, PASSES, IMAGES = 300, 31, 10_000
LIMIT = 0.07
"""GB for ImageNet-1K."""
WAYS: Mapping[str, tuple[Mapping[str, Any], int]] = {
    "full": ({"store": "full"}, EPOCHS),
    "topk, 10 logits": ({"store": "topk", "top_k": 10}, EPOCHS),
    "topk, 50 logits, 31 passes": ({"store": "topk", "top_k": 50}, PASSES),
    "online": ({"store": "online"}, EPOCHS),
}
"""Settings, and stored epochs."""
BEST = "topk, 50 logits, 31 passes"


def rows(*, classes: int = 1_000, ipc: int = 2) -> Iterable[Row]:
    """Yield two rows for each way of storing."""
    distilled, teacher = _made(classes, ipc)
    for name, (settings, epochs) in WAYS.items():
        labels = relabel(
            distilled, (teacher,), RelabelSettings(**settings), epochs=2, batch=100, ctx=Context(stage="relabel")
        )
        with tempfile.TemporaryDirectory() as folder:
            write_product(distilled, labels, Path(folder) / "set", facts={})
            size = sum(file.stat().st_size for file in Path(folder).glob("set/fkd/*"))
        each = size / 2 / len(distilled.labels)
        yield Row(part="labels", name=name, value=each, unit="B", about=f"an image and epoch, {classes} classes")
        whole, limit = each * IMAGES * epochs / 1e9, LIMIT if name == BEST else None
        yield Row(
            part="labels", name=f"{name}, ImageNet-1K", value=whole, unit="GB", limit=limit, about="by arithmetic"
        )


def _made(classes: int, ipc: int) -> tuple[DistilledSet, Teacher]:
    spec = resolve_spec("convnet2_w8_bn", num_classes=classes, channels=3, image_size=16, stem="auto")
    grey, names = (0.5, 0.5, 0.5), tuple(f"{label:05d}" for label in range(classes))
    weights = build_model(spec).state_dict()
    teacher = Teacher(spec=spec, weights=weights, classes=names, mean=grey, std=grey, top1=0.0)
    images = torch.randint(0, 256, (classes * ipc, 3, 16, 16), dtype=torch.uint8)
    return class_major_set("noise", images, teacher), teacher


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--ipc", type=int, default=2)
    asked = parser.parse_args()
    for row in rows(classes=asked.classes, ipc=asked.ipc):
        print(row, flush=True)


if __name__ == "__main__":
    main()
