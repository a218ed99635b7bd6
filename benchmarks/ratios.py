"""What each stage adds to the bare work that it cannot do without, as ratios of times.

    python -m benchmarks.ratios [--rounds 10] [--precisions fp32 bf16] [--threads 2] [--stages recover ...]

The stage itself, set-up included, against its floor in the same process and at the same precision:

- squeeze: an epoch over 1,000 images; as many training steps on a batch that is ready.
- statistics: 1,000 images, fp32; the teacher's forward pass.
- barycenter: eight classes; POT's solvers (`benchmarks/transport.py`).
- recover: `--steps` steps over 100 images; forward and backward passes of the bare teacher to its input.
- relabel: the plain images and `--steps` epochs of 100; as many forward passes of the teacher.
- evaluate: a student of `--steps` epochs under online labels, with a test; student steps and teacher's forward passes.

ResNet-18 with ImageNet's stem at 64 pixels, 100 images in 10 classes a step. The two sides alternate within a round,
so that other load on the machine affects both; the figures are medians over the rounds.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from benchmarks.rows import Row
from benchmarks.transport import compare as compare_with_pot
from torch import nn

from wmdd.context import Context
from wmdd.data.real_sets import random_positions, real_set
from wmdd.data.sources.pixels import DecodedImages
from wmdd.data.subsets import subset
from wmdd.evaluation.protocols import find_protocol
from wmdd.models.building import build_model, build_teacher, resolve_spec
from wmdd.settings import (
    BarycenterSettings,
    EvaluateSettings,
    RecoverSettings,
    RelabelSettings,
    SqueezeSettings,
    StatisticsSettings,
)
from wmdd.stages.barycenter import barycenter
from wmdd.stages.evaluate import evaluate
from wmdd.stages.recover import recover
from wmdd.stages.relabel import relabel
from wmdd.stages.squeeze import squeeze
from wmdd.stages.statistics import statistics as run_statistics
from wmdd.training.losses import distillation_loss, label_loss
from wmdd.training.optim import build_optimiser
from wmdd.values import Barycenters, ClassStatistics, DistilledSet, ImageSet, Teacher

ARCH = "resnet18"
SIZE, CLASSES, PER_CLASS, REAL = 64, 10, 10, 1_000
COUNT = CLASSES * PER_CLASS
LIMITS: Mapping[str, float] = {
    "statistics": 1.1,
    "recover": 1.15,
    "recover bf16": 1.2,
    "evaluate": 1.1,
    "barycenter": 1 / 3,
}
TEACHER_TEMPERATURE = 20.0
Work = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Median seconds of the two sides of a comparison."""

    full: float
    bare: float

    @property
    def value(self) -> float:
        """How many times the bare side the full side takes."""
        return self.full / self.bare


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Random images, an untrained teacher, the results of the stages on them, and how much is timed."""

    train: ImageSet
    val: ImageSet
    teacher: Teacher
    statistics: ClassStatistics
    atoms: Barycenters
    distilled: DistilledSet
    model: nn.Module
    ctx: Context
    steps: int

    def batch(self) -> torch.Tensor:
        """Return images as a network sees them."""
        images = torch.randn(COUNT, 3, SIZE, SIZE, device=self.ctx.device)
        return images.contiguous(memory_format=torch.channels_last)

    def fresh(self) -> nn.Module:
        """Return an untrained network in train mode."""
        model = build_model(self.teacher.spec).to(self.ctx.device)
        return model.to(memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]


def scene(ctx: Context, steps: int) -> Scene:
    """Return 100 images of each of 10 classes, with what the stages need."""
    pixels = torch.randint(0, 256, (REAL, 3, SIZE, SIZE), dtype=torch.uint8)
    names = tuple(str(label) for label in range(CLASSES))
    train = ImageSet(
        name="noise",
        split="train",
        classes=names,
        labels=torch.arange(CLASSES).repeat_interleave(REAL // CLASSES),
        images=DecodedImages(pixels),
        channels=3,
        canvas=SIZE,
        image_size=SIZE,
        fingerprint="noise",
    )
    spec = resolve_spec(ARCH, num_classes=CLASSES, channels=3, image_size=SIZE, stem="imagenet")
    half = (0.5, 0.5, 0.5)
    weights = build_model(spec).state_dict()
    teacher = Teacher(spec=spec, weights=weights, classes=names, mean=half, std=half, top1=10.0)
    moments = run_statistics(train, teacher, StatisticsSettings(), ctx=Context(device=ctx.device))
    return Scene(
        train=train,
        val=subset(train, torch.arange(0, REAL, REAL // CLASSES)),
        teacher=teacher,
        statistics=moments,
        atoms=barycenter(moments, BarycenterSettings(weights="exact"), ipc=PER_CLASS),
        distilled=real_set("random", train, teacher, random_positions(train, PER_CLASS, 0).tolist(), PER_CLASS),
        model=build_teacher(teacher, ctx.device),
        ctx=ctx,
        steps=steps,
    )


Sides = tuple[Work, Work]
"""A stage, and its floor."""


def squeezing(given: Scene) -> Sides:
    """Return an epoch of the teacher's training, and as many bare steps."""
    settings = SqueezeSettings(arch=ARCH, stem="imagenet", epochs=1, batch=COUNT)
    labels = torch.randint(CLASSES, (COUNT,), device=given.ctx.device)
    model, images = given.fresh(), given.batch()
    optimiser = build_optimiser(model, settings)

    def bare() -> None:
        for _ in range(REAL // COUNT):
            with given.ctx.autocast():
                logits = model(images)
            optimiser.zero_grad(set_to_none=True)
            label_loss(logits.float(), labels).backward()
            optimiser.step()

    return lambda: squeeze(given.train, given.val, settings, ctx=given.ctx), bare


def moments_and_features(given: Scene) -> Sides:
    """Return the statistics stage, and the teacher's forward pass over as many images."""
    ctx, settings = Context(device=given.ctx.device), StatisticsSettings(batch=COUNT)
    bare = forward_passes(replace(given, ctx=ctx), REAL // COUNT)
    return lambda: run_statistics(given.train, given.teacher, settings, ctx=ctx), bare


def recovery(given: Scene) -> Sides:
    """Return the recovery stage, cut down to a few steps, and passes of the teacher to its input."""
    settings = RecoverSettings(iterations=given.steps, bn_weight=1e-3)
    images = given.batch().requires_grad_()

    def bare() -> None:
        for _ in range(given.steps):
            with given.ctx.autocast():
                logits = given.model(images)
            torch.autograd.grad(logits.float().sum(), images)

    return lambda: recover(given.train, given.teacher, given.statistics, given.atoms, settings, ctx=given.ctx), bare


def labelling(given: Scene) -> Sides:
    """Return the relabel stage, and the teacher's forward pass over as many images."""

    def stage() -> None:
        relabel(given.distilled, (given.teacher,), RelabelSettings(), epochs=given.steps, batch=COUNT, ctx=given.ctx)

    return stage, forward_passes(given, 1 + given.steps)


def evaluation(given: Scene) -> Sides:
    """Return a student's training under online labels, and bare steps with the teacher's forward passes."""
    settings = EvaluateSettings(students=(ARCH,), epochs=given.steps, seeds=1, tests=1, labels="soft")
    training = find_protocol("wmdd").settings(PER_CLASS, CLASSES)
    student, images = given.fresh(), given.batch()
    optimiser, weights = build_optimiser(student, training), torch.ones(COUNT, device=given.ctx.device)

    def bare() -> None:
        for _ in range(given.steps):
            with torch.no_grad(), given.ctx.autocast():
                answers = given.model(images)
            with given.ctx.autocast():
                logits = student(images)
            optimiser.zero_grad(set_to_none=True)
            distillation_loss(logits, answers, weights, TEACHER_TEMPERATURE).backward()
            optimiser.step()

    return lambda: evaluate(given.distilled, (), (given.teacher,), given.val, settings, ctx=given.ctx), bare


def forward_passes(given: Scene, passes: int) -> Work:
    """Return so many forward passes of the teacher."""
    images = given.batch()

    def bare() -> None:
        with torch.inference_mode(), given.ctx.autocast():
            for _ in range(passes):
                given.model(images)

    return bare


STAGES: Mapping[str, Callable[[Scene], Sides]] = {
    "squeeze": squeezing,
    "statistics": moments_and_features,
    "recover": recovery,
    "relabel": labelling,
    "evaluate": evaluation,
}
NAMES = ("squeeze", "statistics", "barycenter", "recover", "relabel", "evaluate")


def compare(full: Work, bare: Work, rounds: int, device: torch.device) -> Ratio:
    """Time both in turn, after a round of warm-up."""
    times = [(_seconds(full, device), _seconds(bare, device)) for _ in range(rounds + 1)][1:]
    return Ratio(full=statistics.median(a for a, _ in times), bare=statistics.median(b for _, b in times))


def rows(
    *, stages: Iterable[str] = NAMES, precisions: Iterable[str], rounds: int, steps: int, device: torch.device
) -> Iterable[Row]:
    """Yield a row for each stage and precision; statistics and barycenters are made in one precision alone."""
    torch.manual_seed(0)
    for number, precision in enumerate(precisions):
        given = scene(Context(device=device, precision=precision), steps)
        for name in stages:
            if name in STAGES and (name != "statistics" or number == 0):
                ratio = compare(*STAGES[name](given), rounds, device)
                words = name if name == "statistics" else f"{name} {precision}"
                yield _row(words, ratio, "the floor", LIMITS.get(words, LIMITS.get(name)))
            elif name == "barycenter" and number == 0:
                found = compare_with_pot(PER_CLASS, rounds)
                ratio = Ratio(full=found["ours_ms"] / 1e3, bare=found["ratio"] * found["ours_ms"] / 1e3)
                yield _row(name, ratio, "POT", LIMITS[name])


def _row(name: str, ratio: Ratio, floor: str, limit: float | None) -> Row:
    times = f"{1e3 * ratio.full:.0f} ms against {1e3 * ratio.bare:.0f}"
    return Row(part="ratios", name=name, value=ratio.value, unit=f"of {floor}", limit=limit, about=times)


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=("fp32", "bf16"))
    parser.add_argument("--stages", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    sizes = {"rounds": asked.rounds, "steps": asked.steps, "device": torch.device(asked.device)}
    for row in rows(stages=asked.stages, precisions=asked.precisions, **sizes):
        print(row, flush=True)


def _seconds(step: Work, device: torch.device) -> float:
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
