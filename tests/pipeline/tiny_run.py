"""A small run of digits, and the contents of a bench."""

from typing import Any

ARCH = "convnet1_w8_bn"
TINY: dict[str, Any] = {
    "ipc": 1,
    "device": "cpu",
    "squeeze": {"arch": ARCH, "epochs": 1},
    "recover": {"iterations": 2},
    "evaluate": {"students": (ARCH,), "epochs": 1, "seeds": 1, "labels": "soft", "references": ("random",)},
}
SCORE = {
    "set": "wmdd", "ipc": 1, "student": ARCH, "protocol": "wmdd", "labels": "soft", "seed": 7, "distill_seed": 0,
    "top1": 50.0, "top5": 90.0, "top1_best": 51.0,
}  # fmt: skip
CELL = {
    "row": "wmdd", "method": "wmdd", "ipc": 1, "seed": 0, "state": "finished", "error": "", "folder": "cells/wmdd",
    "scores": [SCORE], "beside": [{**SCORE, "set": "random"}], "seconds": {"recover": 1.0}, "memory": {"recover": 2},
    "bytes": {"images": 3, "soft_labels": 4},
}  # fmt: skip
BENCH = {
    "schema": 1,
    "data": {"name": "digits", "classes": ["0", "1"], "train": 9, "val": 3, "image_size": 8, "channels": 1},
    "teacher": {"arch": ARCH, "stem": "small", "top1": 90.0, "seconds": 1.0},
    "rows": [{"name": "wmdd", "method": "wmdd", "settings": {}}],
    "ipcs": [1], "students": [ARCH], "protocols": ["wmdd"], "seeds": 1, "distill_seeds": 1,
    "run": {"device": "cpu", "precision": "fp32", "command": "", "version": "", "commit": "", "versions": {"a": "1"}},
    "cells": [CELL, {**CELL, "seed": 1}],
}  # fmt: skip
