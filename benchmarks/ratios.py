"""What the two expensive stages add to the bare network, as ratios of times.

    python benchmarks/ratios.py [--rounds 10] [--precisions fp32 bf16] [--threads 2]

- recovery: the stage itself over ten steps, set-up included, against the same number of forward and backward passes
  of the bare teacher to its input, at the same precision. Limit 1.6.
- statistics: the stage itself over 3,000 images against the bare forward, fp32. Limit 1.3.

ResNet-18 with ImageNet's stem at 64 pixels, 100 images in 10 classes a step. The two sides alternate within a round,
so that other load on the machine affects both; the figures are medians over the rounds.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from wmdd.context import Context
from wmdd.data.sources.pixels import DecodedImages
from wmdd.models.building import build_model, build_teacher, resolve_spec
from wmdd.settings import BarycenterSettings, RecoverSettings, StatisticsSettings
from wmdd.stages.barycenter import barycenter
from wmdd.stages.recover import recover
from wmdd.stages.statistics import statistics as run_statistics
from wmdd.values import Barycenters, ClassStatistics, ImageSet, Teacher

SIZE, CLASSES, PER_CLASS, STEPS = 64, 10, 10, 10
RECOVERY_LIMIT, STATISTICS_LIMIT = 1.6, 1.3
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
    """Random images, an untrained teacher, and the results of the stages on them."""

    train: ImageSet
    teacher: Teacher
    statistics: ClassStatistics
    atoms: Barycenters


def scene() -> Scene:
    """Return 300 images of each of 10 classes, with what the stages need."""
    count = CLASSES * PER_CLASS
    pixels = torch.randint(0, 256, (30 * count, 3, SIZE, SIZE), dtype=torch.uint8)
    names = tuple(str(label) for label in range(CLASSES))
    train = ImageSet(
        name="noise",
        split="train",
        classes=names,
        labels=torch.arange(CLASSES).repeat_interleave(30 * PER_CLASS),
        images=DecodedImages(pixels),
        channels=3,
        canvas=SIZE,
        image_size=SIZE,
        fingerprint="noise",
    )
    spec = resolve_spec("resnet18", num_classes=CLASSES, channels=3, image_size=SIZE, stem="imagenet")
    half = (0.5, 0.5, 0.5)
    weights = build_model(spec).state_dict()
    teacher = Teacher(spec=spec, weights=weights, classes=names, mean=half, std=half, top1=10.0)
    moments = run_statistics(train, teacher, StatisticsSettings())
    atoms = barycenter(moments, BarycenterSettings(weights="exact"), ipc=PER_CLASS)
    return Scene(train=train, teacher=teacher, statistics=moments, atoms=atoms)


def recovery(given: Scene, ctx: Context) -> Work:
    """Return the recovery stage, cut down to a few steps."""
    settings = RecoverSettings(iterations=STEPS, bn_weight=1e-3)
    return lambda: recover(given.train, given.teacher, given.statistics, given.atoms, settings, ctx=ctx)


def bare_steps(model: nn.Module, ctx: Context) -> Work:
    """Return a forward and backward pass of the teacher to its input for each step of the stage."""
    images = torch.randn(CLASSES * PER_CLASS, 3, SIZE, SIZE, device=ctx.device)
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()

    def steps() -> None:
        for _ in range(STEPS):
            with ctx.autocast():
                logits = model(images)
            torch.autograd.grad(logits.float().sum(), images)

    return steps


def bare_forward(model: nn.Module, given: Scene, device: torch.device) -> Work:
    """Return the teacher's forward pass over the images of the statistics stage."""
    images = torch.randn(CLASSES * PER_CLASS, 3, SIZE, SIZE, device=device).contiguous(
        memory_format=torch.channels_last
    )

    def passes() -> None:
        with torch.inference_mode():
            for _ in range(len(given.train) // len(images)):
                model(images)

    return passes


def compare(full: Work, bare: Work, rounds: int, device: torch.device) -> Ratio:
    """Time both in turn, after two rounds of warm-up."""
    times = [(_seconds(full, device), _seconds(bare, device)) for _ in range(rounds + 2)][2:]
    return Ratio(full=statistics.median(a for a, _ in times), bare=statistics.median(b for _, b in times))


def main() -> None:
    """Print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=("fp32", "bf16"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    device = torch.device(given.device)
    given_scene = scene()
    model = build_teacher(given_scene.teacher, device)
    for precision in given.precisions:
        ctx = Context(device=device, precision=precision)
        ratio = compare(recovery(given_scene, ctx), bare_steps(model, ctx), given.rounds, device)
        _show(f"recovery step / forward + backward to the input, {precision}", ratio, RECOVERY_LIMIT)
    ctx = Context(device=device)
    settings = StatisticsSettings(batch=CLASSES * PER_CLASS)
    whole = lambda: run_statistics(given_scene.train, given_scene.teacher, settings, ctx=ctx)  # noqa: E731
    ratio = compare(whole, bare_forward(model, given_scene, device), given.rounds, device)
    _show("statistics pass / forward, fp32", ratio, STATISTICS_LIMIT)


def _seconds(step: Work, device: torch.device) -> float:
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _show(name: str, ratio: Ratio, limit: float) -> None:
    print(f"{name}: {ratio.value:.2f} (limit {limit}; {1e3 * ratio.full:.0f} ms against {1e3 * ratio.bare:.0f} ms)")


if __name__ == "__main__":
    main()
