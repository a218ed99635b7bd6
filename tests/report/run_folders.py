"""Run folders made up of known numbers; no training anywhere."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from wmdd.product.manifest import file_entry, write_manifest

CLASSES = [f"digit {k}" for k in range(10)]
SCORES = {"wmdd": (77.1, 78.2, 79.3), "random": (61.1, 63.1, 65.1)}


def score(of: str, seed: int, top1: float, **changes: Any) -> dict[str, Any]:
    """Return one entry of `evaluations`."""
    entry = {"set": of, "ipc": 2, "student": "resnet18", "protocol": "wmdd", "labels": "soft", "seed": seed,
             "top1": top1, "top5": 97.25, "top1_best": top1 + 0.5}  # fmt: skip
    return entry | changes


def make_diagnosis(cost: float, classes: int = 10, *, bounds: bool = True) -> dict[str, Any]:
    """Return one set's diagnosis, whose class k has k more than what it gives as the mean."""
    mean = {"cost": cost, "kmeans_cost": 16.0, "random_cost": 32.0, "random_std": 2.0, "distance": 4.25, "uniform": 0.5}
    if bounds:
        mean |= {"head_gap": 1.5, "head_bound": 17.5, "loss_gap": 0.0125, "loss_bound": 1234.5}
    return {"mean": mean, "classes": {name: [value + k for k in range(classes)] for name, value in mean.items()}}


def make_metrics(**changes: Any) -> dict[str, Any]:
    """Return the metrics of a finished run."""
    metrics = {
        "schema": 1,
        "data": {"name": "digits", "classes": CLASSES, "train": 1437, "val": 360, "image_size": 8, "channels": 1},
        "teacher": {"arch": "resnet18", "top1": 97.5},
        "barycenter": {"cost_mean": 3.125, "best_known_mean": 3.0, "starts": 5, "uniform_share": 0.5,
                       "traces": [[5.0, 4.0, 3.25], [4.0, 3.0]],
                       "weights": "learned", "converged": False},
        "diagnosis": {of: make_diagnosis(cost) for of, cost in (("random", 30.0), ("wmdd", 20.0))},
        "evaluations": [score(of, seed, top1) for of, all_ in SCORES.items() for seed, top1 in enumerate(all_)],
        "seconds": {"squeeze": 20.5, "statistics": 0.4, "recover": 250.0, "evaluate": 3800.0},
        "bytes": {"images": 12345, "soft_labels": 6789012},
        "run": {"method": "wmdd", "ipc": 2, "seed": 0, "device": "cpu", "precision": "fp32", "version": "0.1.0",
                "commit": "abc1234",
                "versions": {"wmdd": "0.1.0", "torch": "2.15.0"}, "command": "wmdd distill digits --ipc 2"},
    }  # fmt: skip
    return metrics | changes


def make_log() -> list[dict[str, Any]]:
    """Return log rows of every stage that has curves."""
    rows: list[dict[str, Any]] = []
    for epoch in range(8):
        rows.append(
            {"stage": "squeeze", "unit": "teacher", "epoch": epoch, "loss": 2.0 / (epoch + 1), "top1": 90.0 + epoch}
        )
    for unit in ("class 0-4", "class 5-9"):
        for step in range(0, 200, 20):
            loss = 100.0 / (step + 1)
            rows.append({"stage": "recover", "unit": unit, "step": step, "loss": loss, "feature_loss": 0.8 * loss,
                         "bn_loss": 0.2 * loss})  # fmt: skip
    for of, ends in SCORES.items():
        for seed, end in enumerate(ends):
            for epoch in (60, 120, 180):
                rows.append({"stage": "evaluate", "unit": f"{of} resnet18 wmdd seed {seed}", "epoch": epoch,
                             "loss": 0.1, "top1": end * epoch / 180})  # fmt: skip
    return rows


def write_images(distilled: Path, *, classes: int = 10, ipc: int = 2, side: int = 8, channels: int = 1) -> None:
    """Write a distilled folder whose pictures are noise and whose weights are known."""
    rng = np.random.default_rng(0)
    shape = (side, side) if channels == 1 else (side, side, channels)
    images: list[dict[str, Any]] = []
    for _ in range(classes * ipc):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(buffer, "png")
        images.append({"bytes": buffer.getvalue(), "path": None})
    weights = np.tile(np.arange(1, ipc + 1) / (ipc * (ipc + 1) / 2), classes)
    table = pa.table({
        "image": pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        "label": pa.array(np.repeat(np.arange(classes), ipc), pa.int64()),
        "weight": pa.array(weights, pa.float32()),
    })  # fmt: skip
    path = distilled / "data" / "train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    facts = {"method": "wmdd", "ipc": ipc, "image_size": side, "channels": channels, "mean": [0.5] * channels,
             "std": [0.5] * channels, "classes": [f"name {k}" for k in range(classes)],
             "files": [file_entry(distilled, path)]}  # fmt: skip
    write_manifest(distilled, facts)
