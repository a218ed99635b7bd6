"""What a run will cost, said before it starts: seconds from a few steps timed here and now, bytes from sizes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from wmdd.context import Context
from wmdd.models import build_model
from wmdd.pipeline.judging import stored_epochs
from wmdd.pipeline.recipe import Recipe
from wmdd.pipeline.surroundings import Watcher
from wmdd.protocols import find_protocol
from wmdd.stages.squeeze import teacher_spec
from wmdd.values import ImageSet, ModelSpec

PROBE = 32
PATIENCE = 4.0
"""Seconds after which a probe is not repeated any more; the first calls are slow, while kernels are made."""
MATCHING = 1.5
"""A recovery step costs about this much of the bare forward and backward (see benchmarks/)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds for each stage, and bytes."""

    seconds: dict[str, float]
    disk: int
    memory: int


def announce(train: ImageSet, recipe: Recipe, device: torch.device, precision: str, watcher: Watcher) -> None:
    """Tell the watcher what the run will cost if nothing of it is finished yet."""
    cost = estimate(train, recipe, device, precision)
    parts = ", ".join(f"{stage} {span(seconds)}" for stage, seconds in cost.seconds.items())
    watcher.note(
        f"{len(train):,} images of {len(train.classes)} classes at {train.image_size} px on {device} in {precision}. "
        f"If nothing is finished yet: about {span(sum(cost.seconds.values()))} ({parts}), "
        f"{_size(cost.memory)} of memory, {_size(cost.disk)} of disk."
    )


def estimate(train: ImageSet, recipe: Recipe, device: torch.device, precision: str) -> Estimate:
    """Return the expected cost of a run from scratch."""
    speed = step_seconds(teacher_spec(train, recipe.squeeze), device, precision)
    classes = len(train.classes)
    images = classes * recipe.ipc
    pixels = train.channels * train.canvas**2
    labels = stored_epochs(recipe) * images * (classes * 2 + 53) * (recipe.relabel.store != "online")
    decoded = len(train) * pixels if train.images.in_memory else 0
    return Estimate(
        seconds=stage_seconds(train, recipe, speed),
        disk=2 * labels + 12 * images * pixels,
        memory=decoded + 3 * 4 * images * pixels + 10**9,
    )


def stage_seconds(train: ImageSet, recipe: Recipe, speed: tuple[float, float]) -> dict[str, float]:
    """Return the expected seconds of each stage of a run from scratch, given what `step_seconds` measured."""
    forward, both = speed
    images = len(train.classes) * recipe.ipc
    trained = recipe.squeeze.checkpoint is None
    epochs = [recipe.evaluate.epochs or find_protocol(name).training.epochs for name in recipe.evaluate.protocols]
    students = 2 * recipe.evaluate.seeds * len(recipe.evaluate.students)
    return {
        "squeeze": trained * recipe.squeeze.epochs * len(train) * both,
        "statistics": len(train) * forward,
        "recover": recipe.recover.iterations * images * both * MATCHING,
        "relabel": 2 * stored_epochs(recipe) * images * forward,
        "evaluate": students * sum(epochs) * images * (both + forward),
    }


def step_seconds(spec: ModelSpec, device: torch.device, precision: str) -> tuple[float, float]:
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
