"""Barycenters against POT, as ratios of times, and a whole synthetic ImageNet-1K, in seconds and bytes.

    python benchmarks/transport.py [--rounds 30] [--classes 1000] [--json FILE]

- ratios: uniform weights, ten iterations from one start, 1,300 points with 512 features, K = 10, 50, 100; against
  `ot.lp.free_support_barycenter` and against a loop of plain `ot.emd` calls. Eight classes, one thread each; then ours
  in two threads against theirs in one. Limits 3 and 5. Sides alternate within a round, and the figures are the
  minimum over all rounds: other load on the machine only ever adds. Costs must agree to 1e-6.
- classes: 1,000 classes of 1,300 x 512 float32 in a memory-mapped file, two threads, K_iter = 10, k-means++ included:
  learned within 30, 90 and 180 seconds for K = 10, 50, 100, exact below that, peak memory within 1.5 GB of the
  interpreter with its libraries.

The points look like features: a mixture in 16 dimensions with unequal shares, spread to 512, noise, ReLU.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ot.lp import free_support_barycenter

from ot import dist, emd
from wmdd import ot

POINTS, FEATURES, ITERATIONS = 1300, 512, 10
ATOMS, CLASSES = (10, 50, 100), 8
LIMIT, LIMIT_TWO_THREADS = 3.0, 5.0
SECONDS = {10: 30.0, 50: 90.0, 100: 180.0}
GIGABYTES = 1.5

Array = NDArray[np.float64]


def features(seed: int) -> Array:
    """Return a class, `(1300, 512)`, of values that float32 holds."""
    draw = np.random.default_rng(seed)
    centres, shares = draw.normal(size=(20, 16)), draw.dirichlet(np.ones(20))
    latent = centres[draw.choice(20, POINTS, p=shares)] + 0.6 * draw.normal(size=(POINTS, 16))
    spread = latent @ draw.normal(size=(16, FEATURES)) / 4 + 0.3 * draw.normal(size=(POINTS, FEATURES)) - 0.2
    return np.maximum(spread, 0.0).astype(np.float32).astype(np.float64)


def emd_loop(points: Array, start: Array) -> Array:
    """Return the atoms after ten alternations written with POT's solver alone."""
    atoms, shares, masses = start, np.full(len(start), 1 / len(start)), np.full(len(points), 1 / len(points))
    for _ in range(ITERATIONS):
        plan = emd(shares, masses, dist(atoms, points), check_marginals=False)
        atoms = (plan @ points) / shares[:, None]
    return atoms


def free_support(points: Array, start: Array) -> Array:
    """Return POT's own barycenter."""
    masses = [np.full(len(points), 1 / len(points))]
    return free_support_barycenter([points], masses, start, numItermax=ITERATIONS, stopThr=0)


def ours(points: Array, start: Array) -> ot.Barycenter:
    """Return our barycenter; no tolerance, so that it makes as many iterations."""
    return ot.barycenter(points, len(start), weights="uniform", iterations=ITERATIONS, start=start, tolerance=0.0)


def seconds(work: Callable[[], Any]) -> float:
    """Return how long `work` takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def compare(num_atoms: int, rounds: int) -> dict[str, Any]:
    """Return the minimum seconds per class of every side, their ratios, and by how much the costs differ."""
    classes = [features(seed) for seed in range(CLASSES)]
    pairs = [(points, ot.kmeans_plus_plus(points, num_atoms, np.random.default_rng(0))) for points in classes]
    cost = ours(*pairs[0]).cost
    costs = [ot.wasserstein2(solve(*pairs[0]), pairs[0][0]).value for solve in (free_support, emd_loop)]

    def each(solve: Callable[[Array, Array], Any], threads: int = 1) -> float:
        work = lambda: list(ot.in_threads(lambda pair: solve(*pair), pairs, threads))  # noqa: E731
        return seconds(work) / len(pairs)

    times = [(each(ours), each(ours, 2), each(free_support), each(emd_loop)) for _ in range(rounds)]
    mine, threaded, theirs, loop = (min(column) for column in zip(*times, strict=True))
    return {
        "atoms": num_atoms,
        "ours_ms": 1e3 * mine,
        "two_threads_ms": 1e3 * threaded,
        "free_support_ms": 1e3 * theirs,
        "emd_loop_ms": 1e3 * loop,
        "ratio": min(theirs, loop) / mine,
        "ratio_two_threads": min(theirs, loop) / threaded,
        "cost_difference": max(abs(cost / other - 1.0) for other in costs),
    }


def write_classes(path: Path, count: int) -> None:
    """Write `count` classes as float32; sixteen different ones, scaled: drawing them takes longer than solving."""
    originals = [features(seed).astype(np.float32) for seed in range(16)]
    with path.open("wb") as file:
        for label in range(count):
            (originals[label % 16] * np.float32(1.0 + 1e-3 * label)).tofile(file)


def read_classes(path: Path, count: int) -> Iterator[Array]:
    """Yield the classes as memory maps, each mapped when needed and unmapped after use."""
    size = POINTS * FEATURES * 4
    for label in range(count):
        yield np.memmap(path, np.float32, "r", offset=label * size, shape=(POINTS, FEATURES))  # pyright: ignore


def gigabytes() -> float:
    """Return the peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def whole(path: Path, count: int, num_atoms: int, weights: str) -> dict[str, Any]:
    """Return the seconds for all classes and the peak memory so far; atoms are kept as float32."""
    atoms = np.empty((count, num_atoms, FEATURES), np.float32)
    begin = time.perf_counter()
    found = ot.barycenters(read_classes(path, count), num_atoms, threads=2, weights=weights, iterations=ITERATIONS)
    for label, each in enumerate(found):
        atoms[label] = each.atoms
    taken = time.perf_counter() - begin
    return {"classes": count, "atoms": num_atoms, "weights": weights, "seconds": taken, "peak_gb": gigabytes()}


def _show_ratio(row: dict[str, Any]) -> None:
    print(f"K = {row['atoms']}: {row['ratio']:.1f} times as fast as POT on one thread (limit {LIMIT}),", end=" ")
    print(
        f"{row['ratio_two_threads']:.1f} on two (limit {LIMIT_TWO_THREADS}); {row['ours_ms']:.1f} ms a class", end=" "
    )
    print(f"against {row['free_support_ms']:.1f} and {row['emd_loop_ms']:.1f};", end=" ")
    print(f"costs differ by {row['cost_difference']:.0e}", flush=True)


def _show_run(run: dict[str, Any], start: float) -> None:
    limit = SECONDS[run["atoms"]] * run["classes"] / 1000
    print(f"{run['classes']} classes, K = {run['atoms']}, {run['weights']}: {run['seconds']:.1f} s", end=" ")
    print(f"(limit {limit:.0f}), peak {run['peak_gb'] - start:.2f} GB above the interpreter", end=" ")
    print(f"(limit {GIGABYTES})", flush=True)


def main() -> None:
    """Print every figure with its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--json", type=Path, default=None, help="also write the figures to this file")
    given = parser.parse_args()
    ours(features(0)[:200], features(0)[:8])  # compiles what is not compiled yet
    start, runs = gigabytes(), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.f32"
        write_classes(path, given.classes)
        for num_atoms, weights in product(ATOMS if given.classes else (), ("exact", "learned")):
            runs.append(whole(path, given.classes, num_atoms, weights))
            _show_run(runs[-1], start)
    ratios = [compare(num_atoms, given.rounds) for num_atoms in ATOMS if given.rounds]
    for row in ratios:
        _show_ratio(row)
    if given.json is not None:
        given.json.write_text(json.dumps({"ratios": ratios, "classes": runs, "start_gb": start}, indent=1) + "\n")


if __name__ == "__main__":
    main()
