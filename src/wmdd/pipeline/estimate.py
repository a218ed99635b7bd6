"""What a run will cost, announced before it starts: seconds from a few steps timed here and now, bytes from sizes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from wmdd.evaluation.tested import images_tested
from wmdd.methods.algorithm import Work
from wmdd.pipeline.bench_recipe import Cell
from wmdd.pipeline.compiling import needs_compiling
from wmdd.pipeline.plan import RunPlan
from wmdd.pipeline.runner import Runner
from wmdd.pipeline.speeds import Speeds
from wmdd.processors import processors
from wmdd.settings import RelabelSettings
from wmdd.values import ModelSpec
from wmdd.values.quantising import label_bytes

COMPILING = 8.0
"""Seconds that the transport solver takes to be compiled, once on a machine."""
_BOXES = 42
"""Bytes of a view: index and partner, three boxes, two flips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds for each part of a run, and bytes."""

    seconds: dict[str, float]
    labels: float
    """Bytes of the soft labels of a set, for each image."""
    disk: int
    memory: int


def announce(plan: RunPlan, runner: Runner) -> None:
    """Tell the watcher what the run will cost if nothing of it is finished yet."""
    cost, method = estimate(plan, runner.device, runner.precision), plan.method.name
    unknown = "" if method in cost.seconds else f", not counting {method} itself"
    runner.watcher.note(
        f"{_images(plan)}, on {runner.device} in {runner.precision}. If nothing is finished yet: "
        f"{_total(cost.seconds)}{unknown}, {_size(cost.memory)} of memory, {_size(cost.disk)} of disk. "
        f"{_labels(cost.labels, len(plan.train.classes) * plan.recipe.ipc)}"
    )


def announce_bench(
    base: RunPlan,
    plans: Sequence[tuple[Cell, RunPlan | Exception]],
    runner: Runner,
    *,
    further: Mapping[str, Sequence[Work]],
) -> None:
    """Tell the watcher what the bench will cost if nothing of it is finished yet, as far as that can be known.

    `further` is the work on all sets beside what their plans have, by name.
    """
    sound = [(cell, plan) for cell, plan in plans if isinstance(plan, RunPlan)]
    speeds = Speeds(networks_of(plan for _, plan in sound), runner.device, runner.precision)
    seconds = bench_seconds(sound, speeds, further=further)
    rows = dict.fromkeys(cell.row for cell, plan in sound if not is_counted(plan))
    unknown = f", not counting {', '.join(rows)} themselves" if rows else ""
    evaluation = base.recipe.evaluate
    count = evaluation.seeds * len(evaluation.students) * len(evaluation.protocols)
    students = f"{count} student{'' if count == 1 else 's'} each"
    runner.watcher.note(
        f"{len(plans)} sets of {base.train.name} ({_images(base)}), {students}, on {runner.device} in "
        f"{runner.precision}. If nothing is finished yet: {_total(seconds)}{unknown}."
    )


def networks_of(plans: Iterable[RunPlan]) -> dict[str, ModelSpec]:
    """Return every network of the runs, by architecture."""
    return {arch: spec for plan in plans for arch, spec in plan.networks.items()}


def bench_seconds(
    plans: Sequence[tuple[Cell, RunPlan]], speeds: Speeds, *, further: Mapping[str, Sequence[Work]]
) -> dict[str, float]:
    """Return what the parts of a bench cost; `further` as for `announce_bench`."""
    work = [plan.work for _, plan in plans]
    ceilings = {(cell.recipe.ipc, cell.recipe.seed): plan.work.pool for cell, plan in plans if plan.ceiling}
    return {
        "teachers": speeds.seconds({part for each in work for part in each.teachers}),  # shared by rows that have them
        "methods": sum(_method_seconds(plan, speeds) for _, plan in plans),
        "labels": sum(speeds.seconds(each.labels) for each in work),
        "students": sum(speeds.seconds(each.students) for each in work),
        **{name: speeds.seconds(work) for name, work in further.items() if work},
        **_known("all real images", sum(map(speeds.seconds, ceilings.values()))),
    }


def announce_pools(plan: RunPlan, runner: Runner, *, pools: int, draws: int) -> None:
    """Tell the watcher what `draws` draws of random real images and of `pools` pools will cost, if none is finished."""
    speeds, work = Speeds(plan.networks, runner.device, runner.precision), plan.work
    seconds = {
        "labels": draws * speeds.seconds(work.labels),
        "students": draws * speeds.seconds(work.students),
        "pools": draws * pools * speeds.seconds(work.pool),
    }
    runner.watcher.note(
        f"Random real images of {pools + 1} numbers, {draws} draw{'' if draws == 1 else 's'} each, on {runner.device} "
        f"in {runner.precision}. If nothing is finished yet: {_total(seconds)}."
    )


def _images(plan: RunPlan) -> str:
    train, tested = plan.train, plan.val
    images = f"{len(train):,} images of {len(train.classes)} classes at {train.image_size} px"
    if tested.development is None:
        return images
    return f"{images}, tested on {images_tested(len(tested), 'development')}"


def _total(seconds: Mapping[str, float]) -> str:
    parts = ", ".join(f"{part} {span(cost)}" for part, cost in seconds.items())
    return f"about {span(sum(seconds.values()))} ({parts})"


def estimate(plan: RunPlan, device: torch.device, precision: str) -> Estimate:
    """Return the expected cost of a run from scratch; its references are labelled and evaluated beside the set."""
    train, recipe, work, speeds = plan.train, plan.recipe, plan.work, Speeds(plan.networks, device, precision)
    classes = len(train.classes)
    images = classes * recipe.ipc
    pixels = train.channels * train.canvas**2
    labels = sum(each.epochs for each in plan.labelling) * images * view_bytes(recipe.relabel, classes)
    sets = 1 + len(plan.references)
    teacher = speeds.seconds(work.teachers)
    ahead = teacher if processors() > 1 else 0.0  # seconds in which another processor compiles

    decoded = len(train) * pixels if train.images.in_memory else 0
    return Estimate(
        seconds={
            **_known("compiling", max(0.0, COMPILING - ahead) if needs_compiling([plan]) else 0),
            "teacher": teacher,
            **({plan.method.name: _method_seconds(plan, speeds)} if is_counted(plan) else {}),
            **_known("references", speeds.seconds(work.references)),
            "labels": sets * speeds.seconds(work.labels),
            "students": sets * speeds.seconds(work.students),
            **_known("all real images", speeds.seconds(work.pool) if plan.ceiling else 0),
        },
        labels=labels / images,
        disk=sets * labels + 6 * sets * images * pixels,
        memory=decoded + 3 * 4 * images * pixels + 10**9,
    )


def is_counted(plan: RunPlan) -> bool:
    """Tell whether what the method does is known beforehand."""
    return plan.work.method is not None or plan.work.kernel is not None


def _method_seconds(plan: RunPlan, speeds: Speeds) -> float:
    """Return what the method itself takes, as far as it is known beforehand."""
    seconds, pairs = speeds.seconds(plan.work.method or ()), plan.work.kernel
    return seconds if pairs is None else seconds + speeds.of_pairs(pairs, (plan.train.channels, plan.train.image_size))


def view_bytes(settings: RelabelSettings, classes: int) -> int:
    """Return the bytes that a view and its answers take in the store, beside what a file has for itself."""
    if settings.store == "online":
        return 0
    if settings.store == "topk":
        return label_bytes(classes, settings.top_k)
    return label_bytes(classes, None) + _BOXES


def _labels(each: float, images: int) -> str:
    """Say what the soft labels of a set take."""
    if not each:
        return "No soft label is stored."
    return f"Soft labels of a set: {_size(each * images)}, {_size(each)} an image."


def _known(part: str, seconds: float) -> dict[str, float]:
    """Return a part of the cost by its name; nothing where there is none."""
    return {part: seconds} if seconds else {}


def span(seconds: float) -> str:
    """Return seconds in words."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _size(count: float) -> str:
    """Return bytes in words."""
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 else f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"
