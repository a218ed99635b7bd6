"""Prove that a refactor changes nothing: what every method leaves on the digits, byte for byte, before and after.

    python benchmarks/equal_bytes.py record before.json      # at the old commit
    python benchmarks/equal_bytes.py compare before.json     # at the new one; names every difference and exits with 1

Each case is a whole run with next to no training. Compared are all files of `distilled/`, and `metrics.json` without
times, memory, versions and result keys. Of the card only its head and its table of accuracies count, without the
title and the intervals: the words of a card, and which settings it lists, are presentation. So are the manifest's
version and its own checksum.
"""

import argparse
import hashlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch

import wmdd

torch.set_num_threads(1)

_TINY_RECOVERY = {"iterations": 6, "batch": 8}
_GRADIENTS = {"arch": "convnet1_w4", "iterations": 2, "batch_real": 6, "inner": 2}
_EXPERTS = {"arch": "convnet1_w4_in", "count": 2, "epochs": 3, "batch": 256, "strategy": "crop_flip"}
_TRAJECTORIES = {"iterations": 4, "steps": 3, "span": 1, "start_max": 2, "batch": 8, "lr": 1.0, "strategy": "crop"}
_BASE: dict[str, Any] = {
    "ipc": 2,
    "squeeze": {"arch": "convnet2_w8_bn", "epochs": 2},
    "relabel": {"cutmix": 1.0, "crop_min": 0.5},
    "evaluate": {
        "students": ("convnet1_w8_bn",),
        "protocols": ("wmdd", "rded", "hard"),
        "labels": "both",
        "epochs": 3,
        "seeds": 2,
        "references": ("random",),
    },
}
METHODS: dict[str, dict[str, Any]] = {
    "wmdd": {"recover": _TINY_RECOVERY},
    "random": {},
    "herding": {},
    "k-center": {},
    "k-means": {"kmeans": {"starts": 2}},
    "k-medoids": {"barycenter": {"iterations": 2}},
    "forgetting": {},
    "cad-prune": {"cad": {"epochs": 4, "window": 2, "windows": 2}},
    "bps": {"bps": {"patterns": 2, "starts": 2}},
    "wmdd+": {"recover": _TINY_RECOVERY},
    "rded": {"rded": {"sample": 12, "crops": 2, "factor": 2, "crop_min": 0.5}},
    "dc": {"dc": _GRADIENTS},
    "dsa": {"dsa": {**_GRADIENTS, "outer": 2}},
    "dm": {"dm": {"arch": "convnet1_w4", "iterations": 4, "batch_real": 6}},
    "datadam": {"datadam": {"arch": "convnet2_w4_bn", "iterations": 4, "batch_real": 6}},
    "dd": {"dd": {"arch": "convnet1_w4_nn", "iterations": 3, "networks": 2, "batch": 12, "epochs": 2}},
    "mtt": {"experts": _EXPERTS, "mtt": _TRAJECTORIES},
    "kip": {"kip": {"iterations": 4, "batch": 60, "learn_labels": True}},
    "ls": {},
    "inversion": {"recover": _TINY_RECOVERY},
    "sre2l": {"sre2l": {**_TINY_RECOVERY, "roll": 2}},
    "cda": {"cda": {**_TINY_RECOVERY, "curriculum_end": 0.5}},
    "mmd": {"recover": _TINY_RECOVERY},
    "scdd": {"scdd": _TINY_RECOVERY, "selfsupervised": {"epochs": 1, "batch": 256, "probe_epochs": 2}},
    "gvbsm": {"gvbsm": {**_TINY_RECOVERY, "teachers": ("convnet1_w4_bn",), "weight": 0.1}},
}
"""Method → its smallest settings."""
_OWN = {"evaluate": {"protocols": ("own", "kernel"), "students": ("convnet1_w8",), "labels": "soft"}}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "wmdd reference": ("wmdd", {"recover": {**_TINY_RECOVERY, "form": "reference", "ce_weight": 1.0}}),
    "wmdd entropy": ("wmdd", {"recover": {**_TINY_RECOVERY, "feature_loss": "cross_entropy", "bn": "global"}}),
    "wmdd no bn": ("wmdd", {"recover": {**_TINY_RECOVERY, "bn": "none", "start": "real", "ce_weight": 0.5}}),
    "wmdd no feature": ("wmdd", {"recover": {**_TINY_RECOVERY, "feature_loss": "none", "bn_first": 10.0}}),
    "mmd reference": ("mmd", {"recover": {**_TINY_RECOVERY, "form": "reference", "ce_weight": 0.1}}),
    "wmdd reference global": ("wmdd", {"recover": {**_TINY_RECOVERY, "form": "reference", "bn": "global"}}),
    "wmdd residuals": ("wmdd", {"recover": {**_TINY_RECOVERY, "residuals": 2, "residual_from": "retrieved"}}),
    "sre2l residuals": ("sre2l", {"recover": {**_TINY_RECOVERY, "residuals": 3, "start": "real"}}),
    "wmdd uniform": ("wmdd", {"recover": _TINY_RECOVERY, "barycenter": {"weights": "uniform"}}),
    "wmdd exact": ("wmdd", {"recover": _TINY_RECOVERY, "barycenter": {"weights": "exact"}}),
    **{
        f"wmdd {objective}": ("wmdd", {"recover": _TINY_RECOVERY, "barycenter": {"objective": objective}})
        for objective in ("sliced", "entropic", "mmd_linear", "mmd_rbf", "mean", "kmeans")
    },
    "wmdd more teachers": (
        "wmdd",
        {
            "recover": _TINY_RECOVERY,
            "relabel": {"teachers": ("convnet1_w4_bn",), "store": "topk", "top_k": 3},
            "evaluate": {"protocols": ("gvbsm", "edc", "fadrm", "cim"), "full_data": True, "seeds": 1},
        },
    ),
    "wmdd online": (
        "wmdd",
        {"recover": _TINY_RECOVERY, "relabel": {"store": "online"}, "evaluate": {"protocols": ("rded_mosaic", "dc")}},
    ),
    "mmd linear": ("mmd", {"recover": {**_TINY_RECOVERY, "bn": "global"}, "mmd": {"kernel": "linear"}}),
    "cda linear": ("cda", {"cda": {**_TINY_RECOVERY, "curriculum": "linear", "bn": "global"}}),
    "gvbsm alone": (
        "gvbsm",
        {"gvbsm": {**_TINY_RECOVERY, "roll": 1, "teachers": (), "ema": 0.0, "density": 0.0}},
    ),
    "dc bn mse": ("dc", {"dc": {**_GRADIENTS, "arch": "convnet1_w4_bn", "distance": "mse", "start": "real"}}),
    "dsa cos": ("dsa", {"dsa": {**_GRADIENTS, "distance": "cos", "strategy": "color_cutout"}}),
    "dm bn": ("dm", {"dm": {"arch": "convnet1_w4_bn", "iterations": 3, "batch_real": 6, "start": "noise"}}),
    "dd own": ("dd", {"dd": {**METHODS["dd"]["dd"], "gradient": "graph"}, **_OWN}),
    "mtt sweep": (
        "mtt",
        {"experts": _EXPERTS, "mtt": {**_TRAJECTORIES, "gradient": "sweep"}, "evaluate": {"protocols": ("dc",)}},
    ),
    "kip own": ("kip", {"kip": {"iterations": 3, "batch": 60}, **_OWN}),
    "ls own": ("ls", _OWN),
}
"""Further cases: settings that take other ways through the code."""
_COUNTED = rb"\A---\n.*?^---$|^\|[^\n]*\|$"
"""Parts of a card: its head, and the rows of its tables."""
_PRESENTATION = rb"^pretty_name: [^\n]*\n| [0-9.]+ to [0-9.]+ \||^\| weight \|[^\n]*|^\| set \|[^\n]*|^\|-[^\n]*"
_UNCOUNTED = ("seconds", "costs")
_RUN = ("method", "ipc", "seed", "device", "precision")
_WORDS = {("record", False): "recorded", ("compare", False): "equal", ("compare", True): "differs"}


def cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return every case: method and settings."""
    return {**{name: (name, settings) for name, settings in METHODS.items()}, **VARIANTS}


def run(name: str, store: Path, out: Path) -> dict[str, Any]:
    """Run a case and return its digests and its metrics."""
    method, settings = cases()[name]
    changes = {**_BASE, **settings, "evaluate": {**_BASE["evaluate"], **settings.get("evaluate", {})}}
    changes["relabel"] = {**_BASE["relabel"], **settings.get("relabel", {})}
    wmdd.distill("digits", recipe="digits", method=method, out=out, store=store, **changes)
    return {"files": digests(out / "distilled"), "metrics": metrics(out)}


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a product, without what is presentation."""
    found: dict[str, str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.name == "README.md":
            counted = re.findall(_COUNTED, content, flags=re.DOTALL | re.MULTILINE)
            content = re.sub(_PRESENTATION, b"", b"\n".join(counted), flags=re.MULTILINE)
        if path.name == "manifest.json":
            facts = json.loads(content)
            content = json.dumps({name: facts[name] for name in facts if name not in ("schema", "sha256")}).encode()
        found[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    return found


def metrics(run: Path) -> dict[str, Any]:
    """Return what a run found, without what may differ from one time to the next."""
    found = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    kept = {name: value for name, value in found.items() if name not in _UNCOUNTED}
    kept["run"] = {name: found["run"][name] for name in _RUN} | {"stages": sorted(found["run"]["results"].values())}
    return kept


def differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Name every leaf in which two trees differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = [*before, *(name for name in after if name not in before)]
        return [line for name in names for line in differences(before.get(name), after.get(name), f"{place}/{name}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = zip(before, after, strict=True)
        return [line for number, pair in enumerate(pairs) for line in differences(*pair, f"{place}/{number}")]
    return [] if before == after else [f"{place}: {_short(before)} -> {_short(after)}"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def main() -> int:
    """Record, or compare with what was recorded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--cases", nargs="+", choices=sorted(cases()), default=list(cases()), metavar="CASE")
    words = parser.parse_args()
    known = json.loads(words.file.read_text()) if words.action == "compare" else {}
    changed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in words.cases:
            found = json.loads(json.dumps(run(name, Path(folder) / "store", Path(folder) / name.replace(" ", "-"))))
            lines = differences(known[name], found) if words.action == "compare" else []
            changed += bool(lines)
            print("\n    ".join([f"{name}: {_WORDS[words.action, bool(lines)]}", *lines]), flush=True)
            known[name] = known.get(name, found)
    if words.action == "record":
        words.file.write_text(json.dumps(known, indent=1))
    return int(changed > 0)


if __name__ == "__main__":
    sys.exit(main())
