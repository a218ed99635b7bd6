"""Bytes of soft labels against the accuracy of students, by how they are stored, for how many epochs, and protocol.

    python benchmarks/label_sizes.py [--data pairs|digits] [--ipc 5] [--seeds 3] [--only NAME ...] [--out FILE.json]

`digits` has ten classes. `pairs` has a hundred: two digits beside each other at random heights, 16 x 16 pixels, the two
made from training digits in the training images and from test digits in the test images. The set is `ipc` random real
images a class, the same for every row, so that only the labels differ. Bytes are those of the product's files.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from wmdd.context import Context, stream
from wmdd.data.real_sets import random_positions, real_set
from wmdd.data.sources.opening import open_data
from wmdd.evaluation.protocol_names import find_protocol
from wmdd.pipeline.plan import labellings
from wmdd.product.writing import write_product
from wmdd.settings import DataSettings, EvaluateSettings, RelabelSettings, SqueezeSettings
from wmdd.stages.evaluate import evaluate
from wmdd.stages.relabel import relabel
from wmdd.stages.squeeze import squeeze
from wmdd.values import DistilledSet, EpochLabels, ImageSet, LazyEpochs, SoftLabels, Teacher

SIDE = 16
PER_CLASS = {"train": 80, "val": 20}
STUDENT = "convnet2_w16_bn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way of labelling."""

    protocol: str = "wmdd"
    relabel: Mapping[str, Any] = field(default_factory=dict[str, Any])
    no_rest: bool = False
    """Whether all but the kept classes get the probability 0, as in LPQLD, in place of the mean of their logits."""

    @property
    def name(self) -> str:
        """The row in words."""
        settings = " ".join(f"{name} {value}" for name, value in self.relabel.items())
        return " ".join(filter(None, (self.protocol, settings or "full", "without rest" if self.no_rest else "")))


def rows(classes: int) -> list[Row]:
    """Return the rows for a set of so many classes, the most telling first."""

    def top(k: int, passes: int | None = None) -> dict[str, Any]:
        return {"store": "topk", "top_k": k, **({} if passes is None else {"passes": passes})}

    many = classes > 10
    wmdd = [{}, top(classes), {"passes": 31}, top(10, 31), {"passes": 10}, top(5), *([top(10)] if many else [])]
    lpqld = [{}, top(10, 31), top(5, 31), top(5, 10), top(10, 8), top(10, 3), *([top(classes, 31)] if many else [])]
    few = 10 if many else 5
    return [
        *(Row(relabel=settings) for settings in wmdd[:4]),
        *(Row(protocol="lpqld", relabel=settings) for settings in lpqld[:4]),
        Row(relabel=top(few, 31), no_rest=True),
        Row(protocol="lpqld", relabel=top(few, 31), no_rest=True),
        *(Row(protocol="hald", relabel=settings) for settings in ({}, top(10, 31))),
        *(Row(relabel=settings) for settings in wmdd[4:]),
        *(Row(protocol="lpqld", relabel=settings) for settings in lpqld[4:]),
    ]


def opened(name: str) -> tuple[ImageSet, ImageSet]:
    """Return training and test images."""
    train, val = open_data("digits", DataSettings())
    return (train, val) if name == "digits" else (_pairs(train), _pairs(val))


def _pairs(digits: ImageSet) -> ImageSet:
    """Return the images of the classes 00 to 99 that are made from digits of 8 x 8 pixels."""
    generator, count = stream(0, "pairs", digits.split), PER_CLASS[digits.split]
    pixels = digits.images.fetch(range(len(digits)))
    images = torch.zeros(100 * count, 1, SIDE, SIDE, dtype=torch.uint8)
    for at in range(len(images)):
        for place, label in enumerate(divmod(at // count, 10)):
            members = digits.of_class(label)
            chosen = members[torch.randint(len(members), (), generator=generator)]
            top = int(torch.randint(SIDE // 2 + 1, (), generator=generator))
            images[at, :, top : top + 8, 8 * place : 8 * place + 8] = pixels[chosen]
    return replace(
        digits,
        name="pairs",
        classes=tuple(f"{number:02d}" for number in range(100)),
        labels=torch.arange(100).repeat_interleave(count),
        images=_Pixels(images),
        canvas=SIDE,
        image_size=SIDE,
        fingerprint=f"pairs of {digits.fingerprint}",
    )


@dataclass(frozen=True, slots=True)
class _Pixels:
    values: torch.Tensor

    @property
    def in_memory(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self.values)

    def fetch(self, indices: Any) -> torch.Tensor:
        return self.values[list(indices)]


def measured(row: Row, distilled: DistilledSet, teacher: Teacher, val: ImageSet, seeds: int) -> dict[str, Any]:
    """Label the set, write it, train students on it; return bytes and accuracies."""
    settings, protocol = RelabelSettings(crop_min=0.5, flip=False, **row.relabel), find_protocol(row.protocol)
    (plan,) = labellings((protocol,), settings, ipc=distilled.ipc, classes=len(distilled.classes))
    labels = relabel(
        distilled, (teacher,), settings, epochs=plan.epochs, batch=plan.batch, ctx=Context(stage="relabel")
    )
    with tempfile.TemporaryDirectory() as folder:
        write_product(distilled, labels, Path(folder) / "set", facts={})
        size = sum(file.stat().st_size for file in Path(folder).glob("set/fkd/*"))
    if row.no_rest:
        labels = _without_rest(labels)
    evaluation = EvaluateSettings(
        students=(STUDENT,), protocols=(row.protocol,), seeds=seeds, labels="soft", references=("random",), tests=1
    )
    found = evaluate(distilled, (labels,), (teacher,), val, evaluation, ctx=Context(stage="evaluate"))
    top1 = [score.top1 for score in found.scores]
    return {"row": row.name, "bytes": size, "top1": top1, "mean": fmean(top1), "std": stdev(top1) if seeds > 1 else 0.0}


def _without_rest(labels: SoftLabels) -> SoftLabels:
    def read(number: int) -> EpochLabels:
        epoch = labels.epochs[number]
        assert epoch.rest is not None
        return replace(epoch, rest=torch.full_like(epoch.rest, -3e4))

    return replace(labels, epochs=LazyEpochs(len(labels.epochs), read))


def main() -> None:
    """Measure all rows and print them as they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("pairs", "digits"), default="pairs")
    parser.add_argument("--ipc", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    train, val = opened(asked.data)
    settings = SqueezeSettings(arch=STUDENT, epochs=20, crop_min=0.5, flip=False)
    teacher = squeeze(train, val, settings, ctx=Context(stage="squeeze"))
    distilled = real_set("random", train, teacher, random_positions(train, asked.ipc, 0).tolist(), asked.ipc)
    result: dict[str, Any] = {"data": asked.data, "ipc": asked.ipc, "teacher": teacher.top1, "rows": []}
    for row in rows(len(train.classes)):
        if asked.only and row.name not in asked.only:
            continue
        start = time.monotonic()
        found = measured(row, distilled, teacher, val, asked.seeds)
        result["rows"].append({**found, "seconds": round(time.monotonic() - start, 1)})
        first = result["rows"][0]["bytes"]
        share = f"1/{first / found['bytes']:.0f}" if found["bytes"] else "0"
        figure = f"{found['mean']:6.2f} ± {found['std']:.2f}"
        print(f"{found['row']:44} {found['bytes']:>10} {share:>6} {figure}", flush=True)
        if asked.out:
            asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
