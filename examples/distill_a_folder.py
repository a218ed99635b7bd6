"""Distil a folder of pictures from Python, and compare the result with random real images.

    python examples/distill_a_folder.py path/to/pictures

The folder holds `train/` and `val/` with one folder per class, or just one folder per class. The recipe is made for
two CPU cores: 64 pixels, a ResNet-18 teacher of 20 epochs. Run again, it continues, or finds everything finished.
"""

import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import wmdd


def main(pictures: str | Path, out: str | Path = "runs/mine", **settings: Any) -> wmdd.Run:
    """Distil `pictures` into `out`; other settings replace those of the recipe: `ipc=1`, `recover={"lr": 0.1}`."""
    run = wmdd.distill(pictures, recipe="imagenette64", out=out, **settings)
    scores = run.metrics["evaluations"]
    for method in dict.fromkeys(score["set"] for score in scores):
        for protocol, labels in dict.fromkeys((score["protocol"], score["labels"]) for score in scores):
            of_row = (method, protocol, labels)
            top1 = [each["top1"] for each in scores if (each["set"], each["protocol"], each["labels"]) == of_row]
            print(f"{method:15} {protocol:8} {labels} labels: top-1 {fmean(top1):5.1f} % over {len(top1)} students")
    print(f"see {run.out / 'report.html'}; the set is in {run.out / 'distilled'}")
    return run


if __name__ == "__main__":
    main(sys.argv[1])
