"""WMDD's main table on Imagenette at 224 pixels, as benches in the order in which they tell most.

Each part is one number of images a class, with all of its rows: random real images, WMDD under our settings and under
those of the paper's code, SRe2L, and all real images in as many steps, three students each. `whole` has the paper's
numbers everywhere. `sized` shortens what costs most, so that the list fits 25 minutes of one H100 or H200: at 50 and
100 images a class fewer iterations and epochs. There rows still compare with each other, not with the paper. `tiny`
runs the same rows on the digits in seconds, to see that they run.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import wmdd
from wmdd.artifacts.files import write_json
from wmdd.artifacts.parsing import read_as
from wmdd.evaluation.real_names import CEILING_SET
from wmdd.methods.algorithm import Work
from wmdd.models.building import build_model
from wmdd.pipeline.bench_file import BENCH_FILE
from wmdd.pipeline.bench_recipe import BenchRecipe, Cell, cells
from wmdd.pipeline.plan import RunPlan, plan_run
from wmdd.pipeline.screen import Screen
from wmdd.recipes.digits import digits
from wmdd.recipes.imagenette import imagenette
from wmdd.settings.recipe import Tree, merged
from wmdd.values import ImageSet, ModelSpec

IPCS = (10, 1, 50, 100)
"""In the order in which they are made."""
PAPER = {
    "recover.form": "reference",
    "recover.bn_weight": 10.0,
    "barycenter.weights": "uniform",
    "barycenter.starts": 1,
}
"""What the authors' code and logs have where our settings differ: its losses, lambda of its page, weights 1/IPC."""
ROWS = ("wmdd", "wmdd-paper", "sre2l")
SHORTER: dict[int, Tree] = {
    **dict.fromkeys((1, 10), {"sre2l.iterations": 2000}),
    50: {"recover.iterations": 500, "sre2l.iterations": 500, "evaluate.epochs": 100},
    100: {"recover.iterations": 250, "sre2l.iterations": 250, "evaluate.epochs": 50},
}
"""What `sized` changes, by images a class: SRe2L takes as many steps as WMDD, half of its own."""
PUBLISHED = {
    1: {"wmdd": 40.2, "sre2l": 20.6},
    10: {"wmdd": 64.8, "sre2l": 54.2},
    50: {"wmdd": 83.5, "sre2l": 80.4},
    100: {"wmdd": 87.1, "sre2l": 85.9},
}
"""Of the paper's table, by images a class and method: top-1 in per cent."""
SIZES = {"train": 9469, "val": 3925}
"""Images of Imagenette."""
FLOPS = 50e12
"""A second that training a ResNet-18 at 224 pixels in bf16 is taken to reach: a sixteenth of what matrix products
reach there, because BatchNorm and ReLU wait for memory. An assumption until it is measured."""
STEP = 0.010
"""Seconds below which no step is taken to come: that long the CPU needs to queue its kernels. An assumption too."""


def parts(effort: str, ipcs: Sequence[int] = IPCS) -> Iterator[BenchRecipe]:
    """Yield the benches of `sized`, `whole` or `tiny`, one for each number of images a class."""
    evaluation = {"students": ("resnet18",), "protocols": ("wmdd",), "seeds": 3, "labels": "soft", "tests": 1}
    base = merged(imagenette(), {"evaluate": {**evaluation, "references": ("random", "all")}, "data.memory_gb": 3.0})
    for ipc in ipcs:
        settings = merged(base, SHORTER.get(ipc, {}) if effort == "sized" else {})
        if effort == "tiny":
            settings = merged(settings, digits(), _tiny())
        variants = {"wmdd-paper": PAPER}
        yield BenchRecipe(base=settings, methods=ROWS, ipcs=(ipc,), distill_seeds=1, variants=variants)


def _tiny() -> Tree:
    arch = "convnet1_w8_bn"
    return {
        "data": {"image_size": 8, "memory_gb": 1.0},
        "squeeze": {"arch": arch, "epochs": 1},
        **dict.fromkeys(("recover", "sre2l"), {"iterations": 2}),
        "evaluate": {"students": (arch,), "epochs": 2, "labels": "soft", "references": ("random", "all")},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a part takes, by counting."""

    ipc: int
    petaflop: float
    minutes: float


def estimates(effort: str, ipcs: Sequence[int] = IPCS) -> Iterator[Estimate]:
    """Yield the estimate of every part on Imagenette, the teacher counted in the first.

    The images that pass through networks are those that a run counts for its own estimate (`RunPlan.work`). A pass
    forward costs the FLOPs that torch counts for it, forward and backward three times as many. Each kind of work takes
    its FLOPs at `FLOPS` a second, and at least `STEP` for each of its steps.
    """
    sets = tuple(_sized(split) for split in ("train", "val"))
    for number, bench in enumerate(parts(effort, ipcs)):
        plans = [(cell, plan_run(cell.recipe, *sets)) for cell in cells(bench)]
        work = [part for cell, plan in plans for part in _work_of(cell, plan)]
        work += [] if number else plans[0][1].work.teachers
        networks = {name: spec for _, plan in plans for name, spec in plan.networks.items()}
        costs = [(_flop(part, networks[part.arch]), part.steps * STEP) for part in work]
        seconds = sum(max(flop / FLOPS, queued) for flop, queued in costs)
        yield Estimate(ipc=bench.ipcs[0], petaflop=sum(flop for flop, _ in costs) / 1e15, minutes=seconds / 60)


def _work_of(cell: Cell, plan: RunPlan) -> Iterator[Work]:
    """Yield what a cell passes through networks; random images and all real ones are made in the first alone."""
    yield from plan.work.method or ()
    yield from plan.work.labels
    yield from plan.work.students
    if cell.row == "random":
        yield from plan.work.pool


def _flop(work: Work, spec: ModelSpec) -> float:
    with torch.device("meta"):
        model, image = build_model(spec), torch.empty(1, spec.channels, spec.image_size, spec.image_size)
        with FlopCounterMode(display=False) as counter:
            model.eval()(image)
    return counter.get_total_flops() * (work.forward + 3 * work.both)


def _sized(split: str) -> ImageSet:
    """Return images of Imagenette's number and form, of which none can be read."""
    count, names = SIZES[split], tuple(str(label) for label in range(10))
    return ImageSet(
        name="imagenette",
        split=split,
        classes=names,
        labels=torch.arange(count) % len(names),
        images=_Unread(count),
        channels=3,
        canvas=256,
        image_size=224,
        fingerprint=split,
    )


@dataclass(frozen=True, slots=True)
class _Unread:
    count: int
    in_memory: bool = False

    def __len__(self) -> int:
        return self.count

    def fetch(self, indices: Sequence[int]) -> torch.Tensor:
        raise NotImplementedError(f"{len(indices)} images of an estimate")


class Clock(Screen):
    """Shows the progress, keeps the results up to date, and asks to stop when the time is over."""

    def __init__(self, minutes: float | None, write: Any) -> None:
        super().__init__()
        self._ends = None if minutes is None else time.monotonic() + 60 * minutes
        self._write = write

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Write what is known by now."""
        super().end(stage, seconds, reused)
        self._write()

    def stop_asked(self) -> bool:
        """Return whether the time is over, or the user asked to stop."""
        return super().stop_asked() or (self._ends is not None and time.monotonic() >= self._ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for."""

    data: str
    effort: str
    ipcs: tuple[int, ...]
    device: str
    out: Path
    store: Path
    results: Path
    """File."""
    minutes: float | None
    facts: dict[str, Any]


def reproduce(asked: Request) -> bool:
    """Make the parts, one after the other, and return whether all are finished; the same call goes on."""

    def write() -> None:
        made = [row for ipc in asked.ipcs for row in _rows(asked.out, ipc, asked.effort)]
        write_json(asked.results, {**asked.facts, "effort": asked.effort, "rows": made})

    clock = Clock(asked.minutes, write)
    try:
        for bench in parts(asked.effort, asked.ipcs):
            recipe = bench.with_(base=merged(bench.base, {"device": asked.device, "save_every": 10.0}))
            folder = asked.out / f"ipc{bench.ipcs[0]}"
            wmdd.bench(asked.data, recipe=recipe, out=folder, store=asked.store, watcher=clock)
            write()
    except KeyboardInterrupt:
        write()
        return False
    return all(row["state"] == "finished" for row in json.loads(asked.results.read_text())["rows"])


def _rows(out: Path, ipc: int, effort: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a part as far as they are made; published figures only beside rows that have their settings."""
    path = out / f"ipc{ipc}" / BENCH_FILE
    published = {} if effort == "tiny" else PUBLISHED.get(ipc, {})
    known = read_as(dict[str, Any], path) if path.exists() else {"cells": []}
    teacher = known.get("teacher", {}).get("top1")
    for cell in known["cells"]:
        row = {name: cell[name] for name in ("row", "ipc", "state", "seconds", "memory")}
        shorter = _shorter(cell["method"], ipc) if effort == "sized" else {}
        found = None if shorter else published.get(cell["method"])
        row |= {"shorter": shorter, "teacher": teacher, "published": found}
        yield row | _accuracy(cell["scores"])
        beside = [score for score in cell["beside"] if score["set"] == CEILING_SET]
        if cell["row"] == "random" and beside:
            yield {"row": CEILING_SET, "ipc": cell["ipc"], "state": cell["state"], **_accuracy(beside)}


def _shorter(method: str, ipc: int) -> Tree:
    """Return what `sized` changes for a method; SRe2L's steps are its own."""
    own = {"sre2l": "sre2l.iterations"}.get(method, "recover.iterations")
    return {name: value for name, value in SHORTER[ipc].items() if name in (own, "evaluate.epochs")}


def _accuracy(scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the accuracies of a row's students, and what their rules depart in from the protocol's."""
    top1 = [score["top1"] for score in scores]
    if not top1:
        return {"top1": []}
    spread = stdev(top1) if len(top1) > 1 else None
    departs = sorted({score["departs"] for score in scores})
    return {"top1": top1, "mean": fmean(top1), "std": spread, "departs": departs}
