"""Seconds and peak memory of every stage as the number of classes grows: tiny JPEGs, a tiny teacher, same batches.

    python -m benchmarks.memory [--classes 10 100 1000] [--images 60] [--store full|topk|online] [--out FILE.json]

A data set of N classes is generated (seeded noise around a pattern of each class, JPEG, one file an image) and goes
through the whole chain, each stage in a process of its own that reads what the earlier ones left in the store. A
process's memory is the peak of its resident set while the stage runs, pages of mapped files included, above what it
held once everything was imported and a network had run once. Images are decoded as they are needed. Seconds are those
of the processors, summed over threads, so that other load on the machine hardly affects them.

Limits: memory for the largest number of classes at most 1.2 times that for the second largest, and seconds a linear
function of the classes, R² >= 0.98.
"""

import argparse
import gc
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.rows import Row, machine, write_rows
from PIL import Image

import wmdd
from wmdd.artifacts.folder import ResultFolder
from wmdd.data.sources.opening import open_data
from wmdd.models.building import build_model, resolve_spec
from wmdd.pipeline.memory import forget_peak, peak_memory
from wmdd.product.reading import load
from wmdd.product.writing import write_product
from wmdd.settings import DataSettings
from wmdd.values import DistilledSet, SoftLabels

LIMIT, LINEAR = 1.2, 0.98
CPU = torch.device("cpu")
VAL = 2
"""Validation images a class."""
CHAIN = ("squeeze", "statistics", "barycenter", "recover", "relabel", "evaluate")
BEYOND = ("write", "load")
"""The product's writer and reader."""
FLAT = (*CHAIN[1:], *BEYOND)
"""What must not grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The sizes of a measurement."""

    images: int = 60
    side: int = 16
    ipc: int = 10
    arch: str = "convnet2_w32_bn"
    store: str = "full"
    batch: int = 100
    steps: int = 3
    epochs: int = 2
    threads: int = 1

    def settings(self) -> dict[str, Any]:
        """Return the settings of the run."""
        return {
            "ipc": self.ipc,
            "device": "cpu",
            "precision": "fp32",
            "data": {"memory_gb": 1e-9, "workers": 0},
            "squeeze": {"arch": self.arch, "epochs": 1, "batch": self.batch},
            "statistics": {"batch": self.batch},
            "recover": {"iterations": self.steps, "batch": self.batch},
            "relabel": {"store": self.store},
            "evaluate": {
                "students": (self.arch,),
                "epochs": self.epochs,
                "tests": 1,
                "seeds": 1,
                "labels": "soft",
                "references": ("random",),
            },
        }


def write_images(folder: Path, classes: int, scene: Scene) -> None:
    """Write a folder `train/` and `val/` of `classes` class folders with small JPEGs, the same for the same label."""

    def write(label: int) -> None:
        draw = np.random.default_rng(label)
        pattern = draw.integers(0, 256, (4, 4, 3)).repeat(scene.side // 4, 0).repeat(scene.side // 4, 1)
        for split, count in (("train", scene.images), ("val", VAL)):
            inside = folder / split / f"class{label:05d}"
            inside.mkdir(parents=True)
            for number in range(count):
                noisy = (pattern + draw.normal(0, 40, pattern.shape)).clip(0, 255).astype(np.uint8)
                encoded = io.BytesIO()
                Image.fromarray(noisy).save(encoded, "JPEG", quality=85)
                (inside / f"{number:04d}.jpg").write_bytes(encoded.getvalue())

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(classes)))


def run_stage(stage: str, folder: Path, scene: Scene) -> None:
    """Make one part of the chain, from what the earlier ones left in `folder`."""
    if stage == "open":
        open_data(str(folder / "images"), DataSettings(memory_gb=1e-9))
    elif stage in BEYOND:
        BEYOND_THE_CHAIN[stage](folder)
    else:
        places = {"out": folder / "run", "store": folder / "store"}
        wmdd.distill(str(folder / "images"), until=stage, **places, **scene.settings())


def _write(folder: Path) -> None:
    records: dict[type, Any] = {}
    for entry in json.loads((folder / "run" / "run.json").read_text())["results"]:
        kind = {"recover": DistilledSet, "relabel": SoftLabels}.get(entry["stage"])
        if kind is not None and kind not in records:
            records[kind] = ResultFolder(path=folder / "store" / entry["folder"]).read(kind)
    write_product(records[DistilledSet], records[SoftLabels], folder / "product", facts={})


def _load(folder: Path) -> None:
    for _ in load(folder / "product").loader(epochs=1):
        pass


BEYOND_THE_CHAIN: Mapping[str, Callable[[Path], None]] = {"write": _write, "load": _load}


def measure_here(stage: str, folder: Path, scene: Scene) -> dict[str, float]:
    """Make one part of the chain in this process; return its seconds and its bytes."""
    torch.set_num_threads(scene.threads)
    _warm_up(scene)
    gc.collect()
    forget_peak(CPU)
    floor, start = peak_memory(CPU), time.process_time()
    run_stage(stage, folder, scene)  # the runner forgets the peak once more when the stage begins
    return {"seconds": time.process_time() - start, "floor": floor, "peak": peak_memory(CPU) - floor}


def _warm_up(scene: Scene) -> None:
    """Load what torch loads when a network first runs."""
    spec = resolve_spec(scene.arch, num_classes=2, channels=3, image_size=scene.side, stem="auto")
    images = torch.randn(2, 3, scene.side, scene.side, requires_grad=True)
    build_model(spec)(images).sum().backward()


def measure(stage: str, folder: Path, scene: Scene) -> dict[str, float]:
    """Return what `measure_here` finds in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.memory", "--stage", stage, "--folder", str(folder)]
    words += [word for name in Scene.__slots__ for word in (f"--{name}", str(getattr(scene, name)))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{stage}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def stages() -> tuple[str, ...]:
    """Return all parts of the chain in order."""
    return ("open", *CHAIN, *BEYOND)


def measured(counts: Sequence[int], scene: Scene) -> dict[str, dict[str, Any]]:
    """Return by stage the seconds and the bytes at each number of classes; print them as they come."""
    found: dict[str, dict[str, Any]] = {name: {"seconds": [], "bytes": [], "floor": []} for name in stages()}
    for classes in counts:
        with tempfile.TemporaryDirectory() as folder:
            write_images(Path(folder) / "images", classes, scene)
            for name in stages():
                row = measure(name, Path(folder), scene)
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
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    for name in Scene.__slots__:
        default = Scene.__dataclass_fields__[name].default
        parser.add_argument(f"--{name}", type=type(default), default=default)
    asked = parser.parse_args()
    scene = Scene(**{name: getattr(asked, name) for name in Scene.__slots__})
    if asked.stage:
        print(json.dumps(measure_here(asked.stage, asked.folder, scene)))
        return
    about, table = machine(CPU), []
    for row in rows(asked.classes, scene):
        print(row, flush=True)
        table.append(row)
    if asked.out:
        command = " ".join(["python -m benchmarks.memory", *map(str, sys.argv[1:])])
        write_rows(asked.out, table, command, about, scene=asdict(scene))


if __name__ == "__main__":
    main()
