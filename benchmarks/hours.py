"""Count what the tables of the paper cost, without their data: hours on a GPU, or on this machine.

    python benchmarks/hours.py paper_main paper_ablation [--tflops 100]
    python benchmarks/hours.py testbed_main --here
    python benchmarks/hours.py paper_main_imagenet1k -- --squeeze.pretrained --ipcs 10

Images, networks and steps are those that `wmdd bench` counts before it starts (`pipeline/plan.py`), for the sizes of
the data set in question. A GPU's hours are their floating-point operations at a rate that it sustains (`--tflops`):
loading, small steps and idle time come on top, so they are a lower bound. `--here` times each network on this machine,
as `wmdd bench` does. What stands after `--` are flags of `wmdd bench`. Rows whose work is not known beforehand are
named.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from wmdd.cli.bench import read_bench
from wmdd.models.building import build_model
from wmdd.pipeline.bench_recipe import BenchRecipe, Cell, cells
from wmdd.pipeline.devices import choose_device, choose_precision
from wmdd.pipeline.estimate import bench_seconds, is_counted, networks_of, span
from wmdd.pipeline.plan import RunPlan, plan_run
from wmdd.pipeline.speeds import Speed, Speeds
from wmdd.recipes import BENCHES
from wmdd.values import ImageSet, ModelSpec

PROBE = 8
"""Images of the pass whose operations are counted."""
SIZES = {
    "imagenette": (10, 9_469, 3_925),
    "tiny": (200, 100_000, 10_000),
    "imagenet1k": (1_000, 1_281_167, 50_000),
    "cifar10": (10, 50_000, 10_000),
}
"""Data set → classes, training and test images."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Images that are only counted."""

    count: int

    @property
    def in_memory(self) -> bool:
        """No file is behind them."""
        return True

    def __len__(self) -> int:
        return self.count

    def fetch(self, indices: Sequence[int]) -> Tensor:
        """Refuse: there are no pixels."""
        raise NotImplementedError(f"images are only counted; got {len(indices)} to read")


def counted_set(name: str, split: str, count: int, classes: int, side: int) -> ImageSet:
    """Return a split of a data set of which only sizes are known, classes as equal as can be."""
    return ImageSet(
        name=name,
        split=split,
        classes=tuple(f"{label:04d}" for label in range(classes)),
        labels=torch.arange(count) % classes,
        images=Unread(count),
        channels=3,
        canvas=side,
        image_size=side,
        fingerprint=f"{name} {split}",
    )


def data_of(name: str) -> str:
    """Return the data set that a bench recipe is about, by its name."""
    if name.startswith("testbed") or name.endswith("cifar10"):
        return "cifar10"
    return next(
        (data for data in SIZES if name.endswith(data)), "tiny" if name == "paper_metric_alone" else "imagenette"
    )


def plans_of(name: str, table: BenchRecipe) -> list[tuple[Cell, RunPlan]]:
    """Return the plan of every cell of a table; sets that differ in their seed alone cost the same."""
    data = data_of(name)
    classes, train, val = SIZES[data]
    side = table.shared.data.image_size
    assert side is not None
    sets = (counted_set(data, "train", train, classes, side), counted_set(data, "val", val, classes, side))
    plans: dict[tuple[str, int], RunPlan] = {}
    for cell in (table_cells := cells(table)):
        at = (cell.row, cell.recipe.ipc)
        plans[at] = plans.get(at) or plan_run(cell.recipe, *sets)
    return [(cell, plans[cell.row, cell.recipe.ipc]) for cell in table_cells]


@cache
def forward_operations(spec: ModelSpec) -> float:
    """Return the floating-point operations of a network's forward pass, for an image."""
    counter = FlopCounterMode(display=False)
    with torch.random.fork_rng(devices=[]):
        model = build_model(spec).eval().to("meta")  # shapes without numbers
    images = torch.empty(PROBE, spec.channels, spec.image_size, spec.image_size, device="meta")
    with counter, torch.no_grad():
        model(images)
    return counter.get_total_flops() / PROBE


def gpu_speeds(plans: Sequence[tuple[Cell, RunPlan]], tflops: float) -> Speeds:
    """Return the cost of an image in every network on a GPU that sustains a rate; a step beside its images is free."""
    networks = networks_of(plan for _, plan in plans)
    speeds = Speeds(networks, torch.device("cpu"), "fp32")
    for arch, spec in networks.items():
        seconds = forward_operations(spec) / (tflops * 1e12)
        speeds[arch] = Speed(forward=seconds, both=3 * seconds, step=0.0)
    speeds.time_pair = lambda *_: (0.0, 0.0)  # kernels wait for memory, not for operations
    return speeds


def table_seconds(name: str, table: BenchRecipe, tflops: float | None) -> tuple[dict[str, float], list[str]]:
    """Return the seconds of each part of a table, and the rows whose own work is not known; None = on this machine."""
    plans = plans_of(name, table)
    if tflops is None:
        device = choose_device(table.shared.device)
        speeds = Speeds(networks_of(plan for _, plan in plans), device, choose_precision("auto", device))
    else:
        speeds = gpu_speeds(plans, tflops)
    seconds = bench_seconds(plans, speeds, further={})
    if table.shared.squeeze.pretrained:
        own = plans[0][1].work.teachers  # that of random images: the teacher that all share
        seconds["teachers"] -= speeds.seconds(own)
    known = is_counted if tflops is None else lambda plan: plan.work.method is not None
    unknown = dict.fromkeys(cell.row for cell, plan in plans if not known(plan))
    return seconds, list(unknown)


def main() -> None:
    """Print a line for each table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", choices=sorted(BENCHES), metavar="RECIPE")
    parser.add_argument("--tflops", type=float, default=100.0, help="10^12 operations a second that the GPU sustains")
    parser.add_argument("--here", action="store_true", help="time every network on this machine instead")
    words = sys.argv[1:]
    own = words.index("--") if "--" in words else len(words)
    given, flags = parser.parse_args(words[:own]), words[own + 1 :]
    for name in given.recipes:
        table = read_bench(["FOLDER", "--recipe", name, *flags]).recipe
        seconds, unknown = table_seconds(name, table, None if given.here else given.tflops)
        parts = ", ".join(f"{part} {span(cost)}" for part, cost in seconds.items())
        without = f"; not counting {', '.join(unknown)} themselves" if unknown else ""
        print(f"{name}: {sum(seconds.values()) / 3600:.1f} h ({parts}){without}", flush=True)


if __name__ == "__main__":
    main()
