"""What more starts of a barycenter gain, and what they cost.

    python benchmarks/starts.py FOLDER [--atoms 5 10] [--starts 30] [--classes 10] [--points N] [--json FILE]

FOLDER is a result of the stage statistics, `STORE/statistics-KEY`. Each class is solved from all starts, with learned
weights and by k-means. For S starts the lowest of S is taken, in disjoint groups of S, as a multiple of the lowest cost
that any of all starts and both kinds found: the mean over classes and groups, and the worst. `screened` is the learned
barycenter from the start at which k-means ended lowest, `uniform` the share of classes whose weights ended the same.
Seconds are those of one start of one class, on one thread.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from wmdd import ot
from wmdd.artifacts.formats import read_record
from wmdd.values import ClassStatistics

GROUPS = (1, 2, 3, 5, 10, 20, 30)
Found = TypeVar("Found")


def measure(classes: list[NDArray[np.float64]], atoms: int, starts: int) -> dict[str, Any]:
    """Return what every number of starts reaches for these classes."""
    shape = (len(classes), starts)
    learned, kmeans, uniform = np.empty(shape), np.empty(shape), np.empty(shape)
    seconds = dict.fromkeys(("start", "learned", "kmeans"), 0.0)

    def timed(name: str, work: Callable[[], Found]) -> Found:
        began = time.perf_counter()
        found = work()
        seconds[name] += (time.perf_counter() - began) / learned.size
        return found

    for at in np.ndindex(shape):
        seed = 1000 * at[0] + at[1]
        problem = timed("start", lambda seed=seed, at=at: ot.Problem.of(classes[at[0]], atoms, seed=seed))
        found = timed("learned", lambda problem=problem: ot.wasserstein_barycenter(problem))
        learned[at], uniform[at] = found.cost, (found.weights == found.weights[0]).all()
        kmeans[at] = timed("kmeans", lambda problem=problem: ot.kmeans(problem)).cost
    best = np.minimum(learned.min(1), kmeans.min(1))[:, None]
    rows = [_row(count, learned / best, kmeans / best, uniform) for count in GROUPS if count <= starts]
    return {"atoms": atoms, "points": len(classes[0]), "classes": len(classes), "seconds": seconds, "rows": rows}


def _row(count: int, learned: NDArray[Any], kmeans: NDArray[Any], uniform: NDArray[Any]) -> dict[str, Any]:
    """Return what groups of `count` starts reach, as multiples of the lowest cost; `(classes, starts)` each."""
    groups = learned.shape[1] // count

    def grouped(values: NDArray[Any]) -> NDArray[Any]:
        return values[:, : groups * count].reshape(len(values), groups, count)

    def at(values: NDArray[Any], chosen: NDArray[Any]) -> NDArray[Any]:
        return np.take_along_axis(grouped(values), chosen[..., None], 2)

    lowest, least = grouped(learned).min(2), grouped(kmeans).min(2)
    return {
        "starts": count,
        "learned": {"mean": lowest.mean(), "worst": lowest.max()},
        "kmeans": {"mean": least.mean(), "worst": least.max()},
        "uniform": at(uniform, grouped(learned).argmin(2)).mean(),
        "screened": at(learned, grouped(kmeans).argmin(2)).mean(),
    }


def main() -> None:
    """Print and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--atoms", type=int, nargs="+", default=[10])
    parser.add_argument("--starts", type=int, default=30)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--points", type=int, help="of each class, the first ones; none = all")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    known = read_record(ClassStatistics, given.folder)
    classes = [known.of_class(label).numpy().astype(np.float64)[: given.points] for label in range(given.classes)]
    found: list[dict[str, Any]] = []
    with threadpool_limits(1):
        for atoms in given.atoms:
            found.append(measure(classes, atoms, given.starts))
            print(json.dumps(found[-1], indent=1), flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
