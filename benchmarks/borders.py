"""How colourful the borders of a bench's images are beside their middle: recovered images tend to have coloured ones.

    python -m benchmarks.borders FOLDER [--out FILE.json]

FOLDER is that of a bench. The colour of a pixel is the standard deviation of its channels, in steps of 256; of each
set's images it is averaged over the outermost pixels, those next to them, and the middle, which is at least a quarter
of the side away from every border.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import wmdd
from wmdd.pipeline.bench_file import read_bench

PLACES = ("border", "next", "middle")


def colours(images: Tensor) -> dict[str, float]:
    """Return the colour of images `(n, ch, R, R)` by place."""
    found, side = images.float().std(dim=1, correction=0).mean(dim=0), images.shape[-1]
    inwards = torch.arange(side)
    depth = torch.minimum(inwards, side - 1 - inwards)
    depths = torch.minimum(depth[:, None], depth)
    places = (depths == 0, depths == 1, depths >= side // 4)
    return {name: float(found[place].mean()) for name, place in zip(PLACES, places, strict=True)}


def measure(folder: Path, bench: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Return the colours of every row of the bench in a folder by place, one number a set."""
    rows: dict[str, dict[str, list[float]]] = {}
    for cell in bench["cells"]:
        if cell["state"] == "finished":
            row = rows.setdefault(cell["row"], {name: [] for name in PLACES})
            for name, value in colours(wmdd.load(folder / cell["folder"] / "distilled").images).items():
                row[name].append(round(value, 2))
    return rows


def main(words: Sequence[str] | None = None) -> None:
    """Print and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(words)
    bench = read_bench(given.folder)
    rows = measure(given.folder, bench)
    for name, row in rows.items():
        print(f"{name:20}", *(f"{place} {sum(row[place]) / len(row[place]):5.1f}" for place in PLACES))
    if given.out:
        found = {"command": "python -m benchmarks.borders FOLDER", "commit": bench["run"]["commit"], "rows": rows}
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
