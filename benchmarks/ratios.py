"""What the stages with networks add to the bare network, as ratios of times in one process.

    python -m benchmarks.ratios [--rounds 10] [--precisions fp32 bf16] [--threads 2] [--device cpu]

Each stage, set-up included, against the same passes without it, the floor:

- squeeze: an epoch over 3,000 images, against that many training steps on a batch that is there.
- statistics: over 3,000 images, against the forward pass, fp32. Limit 1.1.
- recover: ten steps, against forward and backward passes of the teacher to its input. Limits 1.15 and, in bf16, 1.2.
- relabel: ten epochs of 100 images, against the forward pass of the teacher.
- evaluate: a student's ten epochs of stored labels and its test, against its training steps. Limit 1.1.

ResNet-18 with ImageNet's stem at 64 pixels, 100 images in 10 classes a step. The two sides alternate within a round,
so that other load on the machine affects both, after two rounds of warm-up; on CUDA each side is timed from an idle
device to an idle device. The figures are medians over the rounds. What barycenters take: `benchmarks/transport.py`.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from benchmarks.rows import Row
from benchmarks.transport import compare as compare_with_pot
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.data.real_sets import random_positions, real_set
from wmdd.data.sources.pixels import DecodedImages
from wmdd.models.building import build_model, build_teacher, resolve_spec
from wmdd.settings import (
    BarycenterSettings,
    EvaluateSettings,
    RecoverSettings,
    RelabelSettings,
    SqueezeSettings,
    StatisticsSettings,
    TrainSettings,
)
from wmdd.stages.barycenter import barycenter
from wmdd.stages.evaluate import evaluate
from wmdd.stages.recover import recover
from wmdd.stages.relabel import relabel
from wmdd.stages.squeeze import squeeze
from wmdd.stages.statistics import statistics as run_statistics
from wmdd.training.optim import build_optimiser
from wmdd.values import Barycenters, ClassStatistics, DistilledSet, ImageSet, SoftLabels, Teacher

CLASSES = 10
WARM_UP = 2
"""Rounds that are not counted."""
LIMITS = {"statistics": 1.1, "recover": 1.15, "recover bf16": 1.2, "evaluate": 1.1}
Work = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large the networks and images are."""

    arch: str = "resnet18"
    side: int = 64
    per_class: int = 10
    steps: int = 10
    copies: int = 30
    """Real images for each image of a step."""

    @property
    def batch(self) -> int:
        """Images in a step."""
        return CLASSES * self.per_class


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Median seconds of the two sides of a comparison."""

    stage: str
    precision: str
    full: float
    bare: float

    @property
    def value(self) -> float:
        """How many times the bare side the full side takes."""
        return self.full / self.bare

    @property
    def limit(self) -> float | None:
        """What the ratio should not exceed; None = there is no such number."""
        return LIMITS.get(f"{self.stage} {self.precision}", LIMITS.get(self.stage))

    @property
    def text(self) -> str:
        """In a line."""
        limit = "" if self.limit is None else f"limit {self.limit:g}; "
        seconds = f"{1e3 * self.full:.0f} ms against {1e3 * self.bare:.0f} ms"
        return f"{self.stage}, {self.precision}: {self.value:.2f} ({limit}{seconds})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Random images, an untrained teacher, and the results of the stages on them."""

    scale: Scale
    train: ImageSet
    val: ImageSet
    teacher: Teacher
    statistics: ClassStatistics
    atoms: Barycenters
    distilled: DistilledSet
    labels: SoftLabels


def scene(scale: Scale, device: torch.device) -> Scene:
    """Return random images of 10 classes, with what the stages need, computed on the device and kept on the CPU."""
    ctx = Context(device=device)
    train, val = _noise(scale, scale.copies * scale.per_class, "train"), _noise(scale, scale.per_class, "val")
    spec = resolve_spec(scale.arch, num_classes=CLASSES, channels=3, image_size=scale.side, stem="imagenet")
    half = (0.5, 0.5, 0.5)
    weights = build_model(spec).state_dict()
    teacher = Teacher(spec=spec, weights=weights, classes=train.classes, mean=half, std=half, top1=10.0)
    moments = run_statistics(train, teacher, StatisticsSettings(), ctx=ctx)
    positions = random_positions(train, scale.per_class, 0).tolist()
    distilled = real_set("random", train, teacher, positions, scale.per_class)
    return Scene(
        scale=scale,
        train=train,
        val=val,
        teacher=teacher,
        statistics=moments,
        atoms=barycenter(moments, BarycenterSettings(weights="exact", starts=1), ipc=scale.per_class),
        distilled=distilled,
        labels=relabel(distilled, (teacher,), RelabelSettings(), epochs=scale.steps, batch=scale.batch, ctx=ctx),
    )


def _noise(scale: Scale, per_class: int, split: str) -> ImageSet:
    names = tuple(str(label) for label in range(CLASSES))
    return ImageSet(
        name="noise",
        split=split,
        classes=names,
        labels=torch.arange(CLASSES).repeat_interleave(per_class),
        images=DecodedImages(
            torch.randint(0, 256, (CLASSES * per_class, 3, scale.side, scale.side), dtype=torch.uint8)
        ),
        channels=3,
        canvas=scale.side,
        image_size=scale.side,
        fingerprint=f"noise {split}",
    )


def sides(given: Scene, ctx: Context) -> Iterator[tuple[str, Work, Work]]:
    """Yield every stage with its two sides, on the device and at the precision of the context."""
    scale, bare = given.scale, _Bare(given, ctx)
    settings = SqueezeSettings(arch=scale.arch, stem="imagenet", epochs=1, batch=scale.batch)
    yield "squeeze", lambda: squeeze(given.train, given.val, settings, ctx=ctx), bare.training(scale.copies, settings)
    if ctx.precision == "fp32":  # statistics are, whatever the precision
        wide = StatisticsSettings(batch=scale.batch)
        yield (
            "statistics",
            lambda: run_statistics(given.train, given.teacher, wide, ctx=ctx),
            bare.forward(scale.copies),
        )
    few = RecoverSettings(iterations=scale.steps, bn_weight=1e-3)
    yield (
        "recover",
        lambda: recover(given.train, given.teacher, given.statistics, given.atoms, few, ctx=ctx),
        bare.to_the_input(scale.steps),
    )
    stored = RelabelSettings()
    yield (
        "relabel",
        lambda: relabel(given.distilled, (given.teacher,), stored, epochs=scale.steps, batch=scale.batch, ctx=ctx),
        bare.forward(scale.steps),
    )
    one = EvaluateSettings(students=(scale.arch,), labels="soft", seeds=1, epochs=scale.steps, tests=1)
    adamw = TrainSettings(optimiser="adamw")
    yield (
        "evaluate",
        lambda: evaluate(given.distilled, (given.labels,), (given.teacher,), given.val, one, ctx=ctx),
        bare.training(scale.steps, adamw),
    )


class _Bare:
    """Passes of the network over a batch that is there, without a stage around them."""

    def __init__(self, given: Scene, ctx: Context) -> None:
        self._given, self._ctx = given, ctx
        images = torch.randn(given.scale.batch, 3, given.scale.side, given.scale.side, device=ctx.device)
        self._images = images.contiguous(memory_format=torch.channels_last)
        self._labels = torch.arange(CLASSES, device=ctx.device).repeat_interleave(given.scale.per_class)
        self._teacher = build_teacher(given.teacher, ctx.device)

    def _logits(self, model: nn.Module, images: Tensor) -> Tensor:
        with self._ctx.autocast():
            logits: Tensor = model(images)
        return logits.float()

    def forward(self, passes: int) -> Work:
        """Return forward passes of the teacher."""

        def work() -> None:
            with torch.inference_mode():
                for _ in range(passes):
                    self._logits(self._teacher, self._images)

        return work

    def to_the_input(self, passes: int) -> Work:
        """Return forward and backward passes of the teacher to its input."""
        images = self._images.clone(memory_format=torch.preserve_format).requires_grad_()

        def work() -> None:
            for _ in range(passes):
                torch.autograd.grad(self._logits(self._teacher, images).sum(), images)

        return work

    def training(self, steps: int, settings: TrainSettings) -> Work:
        """Return training steps of a network."""
        model = build_model(self._given.teacher.spec).to(self._ctx.device)
        model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        optimiser = build_optimiser(model.train(), settings)

        def work() -> None:
            for _ in range(steps):
                optimiser.zero_grad(set_to_none=True)
                nn.functional.cross_entropy(self._logits(model, self._images), self._labels).backward()
                optimiser.step()

        return work


def compare(full: Work, bare: Work, rounds: int, device: torch.device) -> tuple[float, float]:
    """Return the median seconds of both, timed in turn after the warm-up."""
    times = [(_seconds(full, device), _seconds(bare, device)) for _ in range(rounds + WARM_UP)][WARM_UP:]
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times)


def ratios(device: torch.device, precisions: Sequence[str], rounds: int, scale: Scale) -> Iterator[Ratio]:
    """Yield the ratio of every stage at every precision, as they are measured."""
    torch.manual_seed(0)
    given = scene(scale, device)
    for precision in precisions:
        ctx = Context(device=device, precision=precision)
        for stage, full, bare in sides(given, ctx):
            taken, floor = compare(full, bare, rounds, device)
            yield Ratio(stage=stage, precision=precision, full=taken, bare=floor)


def rows(device: torch.device, precisions: Sequence[str], rounds: int, scale: Scale) -> Iterator[Row]:
    """Yield a row of the table of benchmarks for every stage; barycenters stand beside POT's solvers."""
    for ratio in ratios(device, precisions, rounds, scale):
        name, about = f"{ratio.stage} {ratio.precision}", f"{1e3 * ratio.full:.0f} ms against {1e3 * ratio.bare:.0f}"
        yield Row(part="ratios", name=name, value=ratio.value, unit="of the floor", limit=ratio.limit, about=about)
    found = compare_with_pot(scale.per_class, rounds)
    about = f"{found['ours_ms']:.0f} ms"
    yield Row(part="ratios", name="barycenter", value=1 / found["ratio"], unit="of POT", limit=1 / 3, about=about)


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=("fp32", "bf16"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for ratio in ratios(torch.device(given.device), given.precisions, given.rounds, Scale()):
        print(ratio.text, flush=True)


def _seconds(step: Work, device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    step()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
