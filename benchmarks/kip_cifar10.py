"""KIP's curve on CIFAR-10: accuracy of kernel regression on the test images during the optimisation.

    python benchmarks/kip_cifar10.py DATA [--steps 0 20 300] [--ipc 10] [--batch 5000] [--out FILE.json]

The one published curve of KIP is the log of its authors' notebook: fully connected kernel with one hidden layer, 100
images, standardised channels, Adam 0.04, 5,000 real images per step: 24.3 % at the start, 41.4 % after 20 steps,
46.7 % after 300. The stage itself runs here, in a context that tests the images instead of saving them. Nothing is
chosen on the test images.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wmdd.context import Context
from wmdd.data.inputs import network_inputs
from wmdd.data.loading import channel_moments, in_order
from wmdd.data.sources.opening import open_data
from wmdd.methods.kip import KipSettings
from wmdd.methods.kip.distill import kip
from wmdd.models.building import resolve_spec
from wmdd.settings import DataSettings
from wmdd.training.ntk import centred_classes, kernel_regression
from wmdd.training.pixels import start_images
from wmdd.values import ImageSet, Teacher

PUBLISHED = {0: 24.3, 20: 41.4, 300: 46.7}
CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tests:
    """Test images, and how well a distilled set predicts them."""

    val: ImageSet
    teacher: Teacher
    ipc: int

    def accuracy(self, images: Tensor) -> float:
        """Return the per cent of the test images that regression on `images` classifies correctly."""
        classes = len(self.val.classes)
        targets = centred_classes(torch.arange(classes).repeat_interleave(self.ipc), classes)
        hits = 0
        for index in in_order(len(self.val), CHUNK):
            queries = network_inputs(self.val.images.fetch(index.tolist()), self.teacher)
            hits += int((kernel_regression(images, targets, queries).argmax(1) == self.val.labels[index]).sum())
        return 100 * hits / len(self.val)


@dataclass(frozen=True, kw_only=True)
class TestingContext(Context):
    """Tests the images after some steps instead of saving them."""

    tests: Tests
    steps: frozenset[int]
    curve: list[dict[str, float]] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    done: list[int] = field(default_factory=list)

    def due(self) -> bool:
        """Tell whether to test after this step; called once after each step but the last."""
        self.done.append(len(self.done) + 1)
        return self.done[-1] in self.steps

    def save(self, name: str, tensors: Mapping[str, Tensor], **facts: Any) -> bool:
        """Test the images."""
        del name
        self.test(int(facts["iteration"]), tensors["variable/images"].detach())
        return False

    def test(self, step: int, images: Tensor) -> None:
        """Test the images of a step, record and print the accuracy."""
        seconds = time.perf_counter() - self.started
        row = {"step": step, "top1": self.tests.accuracy(images), "seconds": round(seconds, 1)}
        self.curve.append(row)
        print(f"step {step}: {row['top1']:.1f} % (published: {PUBLISHED.get(step, '-')}), {seconds:.0f} s", flush=True)


def untrained_teacher(train: ImageSet) -> Teacher:
    """Return what KIP needs of a teacher: classes and normalisation."""
    spec = resolve_spec(
        "convnet3", num_classes=len(train.classes), channels=train.channels, image_size=train.image_size
    )
    mean, std = channel_moments(train)
    return Teacher(spec=spec, weights={}, classes=train.classes, mean=mean, std=std, top1=0.0)


def main() -> None:
    """Print the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--steps", type=int, nargs="+", default=sorted(PUBLISHED))
    parser.add_argument("--ipc", type=int, default=10)
    parser.add_argument("--batch", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    train, val = open_data(given.data, DataSettings())
    teacher = untrained_teacher(train)
    tests = Tests(val=val, teacher=teacher, ipc=given.ipc)
    ctx = TestingContext(stage="kip", seed=given.seed, tests=tests, steps=frozenset(given.steps))
    if 0 in given.steps:
        classes = range(len(train.classes))
        ctx.test(0, start_images(train, teacher, classes, given.ipc, start="real", ctx=ctx))
    settings = KipSettings(iterations=max(given.steps), batch=given.batch)
    kip(train, teacher, settings, ipc=given.ipc, ctx=ctx)
    if given.out is not None:
        facts = {"ipc": given.ipc, "batch": given.batch, "seed": given.seed, "threads": given.threads}
        given.out.write_text(json.dumps({**facts, "published": PUBLISHED, "curve": ctx.curve}, indent=1) + "\n")


if __name__ == "__main__":
    main()
