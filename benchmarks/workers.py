"""Two workers of one thread against one worker of one thread, stage by stage, as ratios of times.

    python -m benchmarks.workers [--rounds 3] [--per-class 300] [--size 64] [--arch resnet18] [--steps 100] [--bench]

A whole run over generated pictures of ten classes, each time with a new store, by one worker and by two in turn, so
that other load on the machine affects both; the figures are medians over the rounds. A stage's seconds are those
between its beginning and its end with the worker that leads it, as its manifest has them. `--bench` times a bench of
three methods as a whole instead, start-up included. Meant for two quiet cores; wanted are 1.85 for recover, barycenter
and relabel, 1.7 for statistics, evaluate (two students) and a bench.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from benchmarks.rows import Row
from PIL import Image

CLASSES = 10
WORKERS = (1, 2)
WANTED = {"recover": 1.85, "barycenter": 1.85, "relabel": 1.85, "statistics": 1.7, "evaluate": 1.7}
"""Times as fast as one that two workers should be."""
LAUNCHER = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


def write_pictures(folder: Path, per_class: int, size: int) -> None:
    """Write pictures of noise, brighter from class to class, into folders of classes: a tenth of them to test on."""
    draws = np.random.default_rng(0)
    for split, count in (("train", per_class), ("val", max(1, per_class // 10))):
        for label in range(CLASSES):
            place = folder / split / f"class-{label}"
            place.mkdir(parents=True)
            pixels = draws.integers(0, 156, (count, size, size, 3)) + 10 * label
            for number, picture in enumerate(pixels.astype(np.uint8)):
                Image.fromarray(picture).save(place / f"{number:05d}.png")


def time_command(words: Sequence[str], workers: int) -> float:
    """Return the seconds that a command takes with so many workers of one thread each."""
    start = time.perf_counter()
    subprocess.run(
        [*LAUNCHER, str(workers), "-m", "wmdd", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def stage_seconds(store: Path) -> dict[str, float]:
    """Return the seconds of each stage, those of several results added up."""
    seconds: dict[str, float] = {}
    for path in sorted(store.glob("*/manifest.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        seconds[manifest["stage"]] = seconds.get(manifest["stage"], 0.0) + manifest["seconds"]
    return seconds


def time_round(words: Sequence[str], place: Path, workers: int, *, whole: bool) -> dict[str, float]:
    """Return the seconds of every stage of a run, or those of a whole bench, with a new store."""
    spent = time_command([*words, "--out", str(place / "out"), "--store", str(place / "store")], workers)
    return {"bench": spent} if whole else stage_seconds(place / "store")


def show(rounds: Mapping[int, Sequence[Mapping[str, float]]]) -> None:
    """Print the median seconds of each stage with one worker and with two, and how many times as fast two are."""
    print(f"{'stage':<14}{'1 worker, s':>12}{'2 workers, s':>14}{'times as fast':>15}")
    for stage in rounds[1][0]:
        one, two = (median(each[stage] for each in rounds[workers]) for workers in WORKERS)
        print(f"{stage:<14}{one:>12.2f}{two:>14.2f}{one / two if two else float('nan'):>15.2f}")


def measure(given: argparse.Namespace) -> dict[int, list[dict[str, float]]]:
    """Return the seconds of every stage, or of a whole bench, by number of workers and round; both take turns."""
    settings = {
        "device": "cpu",
        "precision": "fp32",
        "data.image_size": given.size,
        "squeeze.arch": given.arch,
        "squeeze.epochs": 1,
        "recover.iterations": given.steps,
        "recover.batch": 10,
        "evaluate.students": given.arch,
        "evaluate.epochs": given.steps,
        "evaluate.seeds": 2,
        "evaluate.labels": "soft",
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        write_pictures(place / "pictures", given.per_class, given.size)
        command = ["bench", str(place / "pictures"), "--methods", "random", "wmdd", "sre2l", "--ipcs", "10"]
        if not given.bench:
            method = ("--method", "wmdd", "--ipc", "10", "--evaluate.references", "random")
            command = ["distill", str(place / "pictures"), *method]
        rounds: dict[int, list[dict[str, float]]] = {workers: [] for workers in WORKERS}
        for number in range(given.rounds):
            for workers in WORKERS:
                folder = place / f"{number}-{workers}"
                rounds[workers].append(time_round([*command, *words], folder, workers, whole=given.bench))
        return rounds


def rows(words: Sequence[str] = ("--rounds", "1", "--steps", "30")) -> Iterator[Row]:
    """Yield a row of the table of benchmarks for every stage: how many times as fast two workers are."""
    rounds = measure(_parser().parse_args(words))
    for stage in rounds[1][0]:
        one, two = (median(each[stage] for each in rounds[workers]) for workers in WORKERS)
        if two:
            about, wanted = f"{one:.1f} s against {two:.1f}", WANTED.get(stage)
            yield Row(
                part="workers",
                name=stage,
                value=one / two,
                unit="times as fast",
                limit=wanted,
                more_is_better=True,
                about=about,
            )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--per-class", type=int, default=300)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--bench", action="store_true")
    return parser


def main() -> None:
    """Time one worker and two in turn."""
    show(measure(_parser().parse_args()))


if __name__ == "__main__":
    main()
