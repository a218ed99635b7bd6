"""The chain of a run on generated images, part by part: what `benchmarks/memory.py` measures, in this process."""

import gc
import io
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
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

CPU = torch.device("cpu")
VAL = 2
"""Validation images a class."""
CHAIN = ("squeeze", "statistics", "barycenter", "recover", "random", "diagnose", "relabel", "evaluate")
BEYOND = ("write", "load")
"""The product's writer and reader."""
STAGES = ("open", *CHAIN, *BEYOND)
"""All parts of the chain in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The sizes of a measurement."""

    images: int = 60
    side: int = 16
    ipc: int = 10
    arch: str = "convnet3_w32_bn"
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
            "method": "wmdd",
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
        _opened(folder)
    elif stage in BEYOND:
        BEYOND_THE_CHAIN[stage](folder)
    else:
        places = {"out": folder / "run", "store": folder / "store"}
        wmdd.distill(str(folder / "images"), until=stage, **places, **scene.settings())


def _opened(folder: Path) -> object:
    return open_data(str(folder / "images"), DataSettings(memory_gb=1e-9))


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
    images = _opened(folder) if stage in CHAIN else None  # what listing them takes has a row of its own
    gc.collect()
    forget_peak(CPU)
    floor, start = peak_memory(CPU), time.process_time()
    run_stage(stage, folder, scene)  # the runner forgets the peak once more when the stage begins
    del images
    return {"seconds": time.process_time() - start, "floor": floor, "peak": peak_memory(CPU) - floor}


def _warm_up(scene: Scene) -> None:
    """Load what torch loads when a network first runs and learns: its optimisers load the compiler, 270 MB."""
    spec = resolve_spec(scene.arch, num_classes=2, channels=3, image_size=scene.side, stem="auto")
    images = torch.randn(2, 3, scene.side, scene.side, requires_grad=True)
    network = build_model(spec)
    network(images).sum().backward()
    torch.optim.SGD(network.parameters(), lr=0.1).step()
