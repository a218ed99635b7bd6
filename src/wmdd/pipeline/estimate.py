"""What a run will cost, said before it starts: seconds from a few steps timed here and now, bytes from sizes."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from wmdd.context import Context
from wmdd.evaluation.protocols import find_protocol
from wmdd.methods._method import Size, Work
from wmdd.methods._registry import find_method
from wmdd.models import build_model
from wmdd.pipeline.recipe import Recipe
from wmdd.pipeline.set_evaluation import stored_epochs
from wmdd.pipeline.watchers import Watcher
from wmdd.stages.squeeze import teacher_spec
from wmdd.values import ImageSet, ModelSpec

PROBE = 32
PATIENCE = 4.0
"""Seconds after which a probe is not repeated any more; the first calls are slow, while kernels are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds for each part of a run, and bytes."""

    seconds: dict[str, float]
    disk: int
    memory: int


Speed = tuple[float, float]
"""Seconds that an image costs: forward alone, and forward with backward."""


class Speeds(dict[str, Speed]):
    """What an image costs in each network, timed when first asked for."""

    def __init__(self, train: ImageSet, recipe: Recipe, device: torch.device, precision: str) -> None:
        super().__init__()
        self._time = lambda arch: step_seconds(teacher_spec(train, recipe.squeeze.with_(arch=arch)), device, precision)

    def __missing__(self, arch: str) -> Speed:
        self[arch] = self._time(arch)
        return self[arch]

    def seconds(self, work: Iterable[Work]) -> float:
        """Return what this work takes."""
        return sum(part.forward * self[part.arch][0] + part.both * self[part.arch][1] for part in work)


def announce(train: ImageSet, recipe: Recipe, device: torch.device, precision: str, watcher: Watcher) -> None:
    """Tell the watcher what the run will cost if nothing of it is finished yet."""
    cost = estimate(train, recipe, device, precision)
    parts = ", ".join(f"{part} {span(seconds)}" for part, seconds in cost.seconds.items())
    unknown = "" if recipe.method in cost.seconds else f", not counting {recipe.method} itself"
    watcher.note(
        f"{len(train):,} images of {len(train.classes)} classes at {train.image_size} px on {device} in {precision}. "
        f"If nothing is finished yet: about {span(sum(cost.seconds.values()))} ({parts}){unknown}, "
        f"{_size(cost.memory)} of memory, {_size(cost.disk)} of disk."
    )


def estimate(train: ImageSet, recipe: Recipe, device: torch.device, precision: str) -> Estimate:
    """Return the expected cost of a run from scratch."""
    speeds = Speeds(train, recipe, device, precision)
    classes = len(train.classes)
    images = classes * recipe.ipc
    pixels = train.channels * train.canvas**2
    labels = stored_epochs(recipe) * images * (classes * 2 + 53) * (recipe.relabel.store != "online")
    decoded = len(train) * pixels if train.images.in_memory else 0
    # Random images are labelled and judged beside the set.
    return Estimate(
        seconds={
            "teacher": speeds.seconds(teach_work(train, recipe)),
            **method_seconds(train, recipe, speeds),
            "labels": 2 * label_seconds(train, recipe, speeds),
            "students": 2 * student_seconds(train, recipe, speeds),
        },
        disk=2 * labels + 12 * images * pixels,
        memory=decoded + 3 * 4 * images * pixels + 10**9,
    )


def teach_work(train: ImageSet, recipe: Recipe) -> tuple[Work, ...]:
    """Return what the teachers of a run see while they learn."""
    return find_method(recipe.method).teach_work(recipe, _extent(train))


def method_seconds(train: ImageSet, recipe: Recipe, speeds: Speeds) -> dict[str, float]:
    """Return the expected seconds of the method itself under its name, or nothing if that is not known beforehand."""
    work = find_method(recipe.method).work
    return {} if work is None else {recipe.method: speeds.seconds(work(recipe, _extent(train)))}


def label_seconds(train: ImageSet, recipe: Recipe, speeds: Speeds) -> float:
    """Return the expected seconds of labelling one set."""
    views = stored_epochs(recipe) * len(train.classes) * recipe.ipc
    return speeds.seconds([Work(arch=recipe.squeeze.arch, forward=views)])


def student_seconds(train: ImageSet, recipe: Recipe, speeds: Speeds) -> float:
    """Return the expected seconds of the students of one set."""
    epochs = sum(recipe.evaluate.epochs or find_protocol(name).training.epochs for name in recipe.evaluate.protocols)
    views = recipe.evaluate.seeds * epochs * len(train.classes) * recipe.ipc
    return speeds.seconds(Work(arch=arch, forward=views, both=views) for arch in recipe.evaluate.students)


def _extent(train: ImageSet) -> Size:
    return Size(images=len(train), classes=len(train.classes))


def step_seconds(spec: ModelSpec, device: torch.device, precision: str) -> Speed:
    """Return the seconds an image costs: forward alone, and forward with backward."""
    ctx = Context(device=device, precision=precision)
    with torch.random.fork_rng(devices=[]):
        model = build_model(spec).to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        images = torch.randn(PROBE, spec.channels, spec.image_size, spec.image_size).to(device)

    def forward() -> torch.Tensor:
        with ctx.autocast():
            return model(images.contiguous(memory_format=torch.channels_last)).float().sum()

    def both() -> None:
        forward().backward()

    return _fastest(forward, device) / PROBE, _fastest(both, device) / PROBE


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the fastest of at least three calls."""
    spans: list[float] = []
    while len(spans) < 3 or (sum(spans) < PATIENCE and len(spans) < 20):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spans.append(time.perf_counter() - start)
    return min(spans)


def span(seconds: float) -> str:
    """Return seconds as a person says them."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _size(count: float) -> str:
    """Return bytes as a person says them."""
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 else f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"
