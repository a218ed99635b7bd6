"""Seconds and peak memory of every stage as the number of classes grows: tiny JPEGs, a tiny teacher, same batches.

    python -m benchmarks.memory [--classes 10 100 1000] [--images 60] [--store full|topk|online] [--out FILE.json]

A data set of N classes is generated (seeded noise around a pattern of each class, JPEG, one file an image) and goes
through the whole chain, each stage in a process of its own that reads what the earlier ones left in the store. A
process's memory is the peak of its resident set while the stage runs, pages of mapped files included, above what it
held once everything was imported, a network had made a step, and the images were listed (row `open`). Images are
decoded as they are needed. Seconds are those of the processors, summed over threads, so that other load on the machine
hardly affects them.

Limits: memory for the largest number of classes at most 1.2 times that for the second largest, and seconds a linear
function of the classes, R² >= 0.98.
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.chain import BEYOND, CHAIN, CPU, STAGES, Scene, measure_here, write_images
from benchmarks.rows import Row, command_of, machine, write_rows

LIMIT, LINEAR = 1.2, 0.98
FLAT = (*CHAIN[1:], *BEYOND)
"""What must not grow."""


@contextmanager
def measuring(scene: Scene) -> Generator[Callable[[str, Path], dict[str, float]]]:
    """Yield `measure_here` in a process of its own for each call; all are forked from one that has imported wmdd."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["benchmarks.chain"])
    with processes.Pool(1, maxtasksperchild=1) as pool:
        yield lambda stage, folder: pool.apply(measure_here, (stage, folder, scene))


def measured(counts: Sequence[int], scene: Scene) -> dict[str, dict[str, Any]]:
    """Return by stage the seconds and the bytes at each number of classes; print them as they come."""
    found: dict[str, dict[str, Any]] = {name: {"seconds": [], "bytes": [], "floor": []} for name in STAGES}
    for classes in counts:
        with tempfile.TemporaryDirectory() as folder, measuring(scene) as measure:
            write_images(Path(folder) / "images", classes, scene)
            for name in STAGES:
                row = measure(name, Path(folder))
                about = f"{row['seconds']:7.1f} s {row['peak'] / 1e6:7.1f} MB"
                print(f"{classes:>6} classes  {name:12} {about}", flush=True)
                found[name]["seconds"].append(round(row["seconds"], 2))
                found[name]["bytes"].append(int(row["peak"]))
                found[name]["floor"].append(int(row["floor"]))
    return found


def rows(counts: Sequence[int], scene: Scene) -> Iterable[Row]:
    """Yield the rows of the table: memory and seconds of every stage at each number of classes, growth, linearity."""
    found = measured(counts, scene)
    yield from rows_of(found, counts)


def rows_of(found: Mapping[str, Mapping[str, Sequence[float]]], counts: Sequence[int]) -> Iterable[Row]:
    """Yield the rows of what was measured."""
    for name, of_stage in found.items():
        for classes, seconds, size in zip(counts, of_stage["seconds"], of_stage["bytes"], strict=True):
            words = f"{name}, {classes} classes"
            yield Row(part="memory", name=words, value=size / 1e6, unit="MB", about=f"{seconds:.1f} s")
        if len(counts) > 1:
            growth, times = of_stage["bytes"][-1] / of_stage["bytes"][-2], f"{counts[-1]} against {counts[-2]} classes"
            limit = LIMIT if name in FLAT else None
            yield Row(part="memory", name=f"{name}, growth", value=growth, unit="times", limit=limit, about=times)
    total = np.sum([of_stage["seconds"] for of_stage in found.values()], axis=0)
    if len(counts) > 2:
        r2 = linearity(counts, total)
        about = ", ".join(f"{seconds:.0f} s" for seconds in total)
        yield Row(
            part="memory", name="seconds, all", value=r2, unit="R²", limit=LINEAR, more_is_better=True, about=about
        )


def linearity(counts: Sequence[int], seconds: Sequence[float]) -> float:
    """Return R² of a straight line through seconds against classes."""
    return float(np.corrcoef(counts, seconds)[0, 1] ** 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--out", type=Path)
    for name in Scene.__slots__:
        default = Scene.__dataclass_fields__[name].default
        parser.add_argument(f"--{name}", type=type(default), default=default)
    asked = parser.parse_args()
    scene = Scene(**{name: getattr(asked, name) for name in Scene.__slots__})
    about, table = machine(CPU), []
    for row in rows(asked.classes, scene):
        print(row, flush=True)
        table.append(row)
    if asked.out:
        write_rows(asked.out, table, command_of("memory"), about, scene=asdict(scene))


if __name__ == "__main__":
    main()
