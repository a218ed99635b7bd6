"""Contents of `bench.json` made up of known numbers."""

from typing import Any

TOPS = {
    ("random", 1): ((60.0, 62.0), (64.0, 66.0)),
    ("random", 10): ((80.0, 80.0), (80.0, 80.0)),
    ("dm", 1): ((70.0, 72.0), (74.0, 76.0)),
    ("dm", 10): ((90.0, 92.0), (91.0, 93.0)),
    ("wmdd", 10): ((85.0, 87.0), (86.0, 88.0)),
}
"""Row and images per class → of each set, the accuracies of its students."""


def score(of: str, ipc: int, seed: int, top1: float, **changes: Any) -> dict[str, Any]:
    """Return one student's score."""
    entry = {"set": of, "ipc": ipc, "student": "convnet2", "protocol": "dc", "labels": "hard", "seed": seed,
             "distill_seed": 0, "top1": top1, "top5": 99.0, "top1_best": top1}  # fmt: skip
    return entry | changes


def make_cell(row: str, ipc: int, seed: int, tops: tuple[float, ...], **changes: Any) -> dict[str, Any]:
    """Return one finished cell."""
    scores = [score(row, ipc, number, top1) for number, top1 in enumerate(tops)]
    cell = {"row": row, "method": row, "ipc": ipc, "seed": seed, "state": "finished", "error": "",
            "folder": f"cells/{row}-ipc{ipc}-seed{seed}", "scores": scores, "beside": [],
            "seconds": {"make": 10.0 * ipc + seed, "relabel": 3.0, "evaluate": 4.0},
            "memory": {"make": 2_000_000 * ipc, "evaluate": 9_000_000_000},
            "bytes": {"images": 1000 * ipc, "soft_labels": 5000 * ipc}}  # fmt: skip
    return cell | changes


def make_bench(**changes: Any) -> dict[str, Any]:
    """Return the results of a bench in which one cell of `wmdd` failed."""
    cells = [make_cell(row, ipc, seed, tops) for (row, ipc), sets in TOPS.items() for seed, tops in enumerate(sets)]
    lost = {"state": "failed", "error": "too_few images & <no> | memory", "scores": [], "seconds": {}, "memory": {}}
    cells.insert(-2, make_cell("wmdd", 1, 0, (), **lost))
    results = {
        "schema": 1,
        "data": {"name": "my_digits", "classes": ["0", "1"], "train": 1438, "val": 359, "image_size": 8, "channels": 1,
                 "broken": 0},
        "teacher": {"arch": "convnet2_bn", "stem": "small", "top1": 99.7, "seconds": 12.0},
        "rows": [{"name": row, "method": row, "settings": {}} for row in ("random", "dm", "wmdd")],
        "ipcs": [1, 10], "students": ["convnet2"], "protocols": ["dc"], "seeds": 2, "distill_seeds": 2,
        "run": {"device": "cpu", "precision": "fp32", "command": "wmdd bench digits --ipc 1 10", "version": "0.1.0",
                "commit": "abc1234", "versions": {"wmdd": "0.1.0", "torch": "2.15.0"}},
        "cells": cells,
    }  # fmt: skip
    return results | changes
