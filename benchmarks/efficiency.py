"""Seconds and memory of an iteration, method by method, at one batch and resolution: the paper's table of efficiency.

    python benchmarks/efficiency.py --device cuda                                    # the paper's: 10 images of 224 px
    python benchmarks/efficiency.py --side 32 --arch convnet3_w64_bn --matching convnet3_w32 --threads 1

An iteration is a step on all distilled images: `--classes` times `--ipc` of them. With several images a class DC and
DSA also train their network between steps, which takes minutes on a CPU. The stage that makes the images runs over few
and over more iterations; the difference, divided by that of the iterations, is the time of one, without what is done
once (features, statistics, barycenters, experts). Memory is the peak of the longer run: of tensors on CUDA, elsewhere
that of the whole process. Every method has a process of its own, and the rounds go through all methods in turn, so that
other load on the machine affects all alike; figures are medians over the rounds. Images are noise and teachers are
untrained, which changes no time. SC-DD, whose teacher learns without labels, iterates as SRe2L does.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from wmdd.artifacts.files import write_json
from wmdd.context import Context
from wmdd.data.sources.pixels import DecodedImages
from wmdd.methods.algorithm import load_algorithm
from wmdd.methods.catalogue import complete, find_method, title_of
from wmdd.models.building import build_model, network_spec
from wmdd.pipeline.memory import forget_peak, peak_memory
from wmdd.pipeline.provenance import versions
from wmdd.pipeline.runner import GivenResult
from wmdd.settings import Recipe, Section, SqueezeSettings
from wmdd.stages.squeeze import SQUEEZE
from wmdd.stages.stage import Stage
from wmdd.values import ImageSet, Teacher

ITERATIONS = {
    **dict.fromkeys(("wmdd", "mmd"), "recover.iterations"),
    **{name: f"{name}.iterations" for name in ("sre2l", "cda", "gvbsm", "dm", "dc", "dsa", "mtt")},
}
"""Method → the setting that counts its iterations. DC and DSA take IPC steps on the images in each of theirs."""
PER_CLASS = 300
"""Noise images of each class that stand for the real ones."""


@dataclass(kw_only=True)
class TimedStages:
    """Runs stages in memory; teachers stay untrained. Times the last stage that ran."""

    train: ImageSet
    ctx: dict[str, Any]
    found: dict[tuple[Any, ...], GivenResult] = field(default_factory=dict)
    seconds: float = 0.0
    memory: int = 0

    def run(self, stage: Stage, *inputs: Any, settings: Section, of: str = "", **facts: Any) -> GivenResult:
        """Return the result of a stage; one that ran before with the same settings is found."""
        del of
        keys = str([[each.key for each in part] if isinstance(part, tuple) else part.key for part in inputs])
        key = (stage.name, keys, settings.model_dump_json(), str(facts))
        if key not in self.found:
            name = f"{stage.name}-{len(self.found)}"
            self.found[key] = GivenResult(key=name, record=self._make(stage, inputs, settings, facts))
        return self.found[key]

    def _make(self, stage: Stage, inputs: Sequence[Any], settings: Section, facts: dict[str, Any]) -> Any:
        if stage is SQUEEZE:
            assert isinstance(settings, SqueezeSettings)
            return untrained(self.train, settings)
        records = [tuple(each.record for each in part) if isinstance(part, tuple) else part.record for part in inputs]
        ctx = Context(stage=stage.name, **self.ctx)
        forget_peak(ctx.device)
        began = time.perf_counter()
        record = stage.run(*records, settings, ctx=ctx, **facts)
        if ctx.device.type == "cuda":
            torch.cuda.synchronize(ctx.device)
        self.seconds, self.memory = time.perf_counter() - began, peak_memory(ctx.device)
        return record


def untrained(train: ImageSet, settings: SqueezeSettings) -> Teacher:
    """Return a teacher with random weights."""
    spec = network_spec(settings.arch, train, settings.stem)
    half = (0.5,) * train.channels
    weights = build_model(spec).state_dict()
    return Teacher(spec=spec, weights=weights, classes=train.classes, mean=half, std=half, top1=10.0)


def noise(classes: int, side: int) -> ImageSet:
    """Return noise images of each class."""
    pixels = torch.randint(0, 256, (classes * PER_CLASS, 3, side, side), dtype=torch.uint8)
    return ImageSet(
        name="noise",
        split="train",
        classes=tuple(f"{label:04d}" for label in range(classes)),
        labels=torch.arange(classes).repeat_interleave(PER_CLASS),
        images=DecodedImages(pixels),
        channels=3,
        canvas=side,
        image_size=side,
        fingerprint="noise",
    )


def recipe_of(method: str, given: argparse.Namespace, iterations: int) -> Recipe:
    """Return the settings of a method at some number of iterations; those that it does not read are left out."""
    shorter = {"experts.count": 1, "experts.epochs": 3, "mtt.start_max": 1}
    networks = {f"{name}.arch": given.matching for name in ("dm", "dc", "dsa", "experts")}
    settings = {"method": method, "ipc": given.ipc, "squeeze.arch": given.arch, ITERATIONS[method]: iterations}
    return complete({**shorter, **networks, **settings})


def measure(method: str, given: argparse.Namespace) -> dict[str, float]:
    """Return seconds of an iteration, and peak bytes, in this process."""
    torch.manual_seed(0)
    torch.set_num_threads(given.threads)
    train, few, many = noise(given.classes, given.side), given.few, given.few + given.iterations
    context = {"device": torch.device(given.device), "precision": given.precision}
    stages = TimedStages(train=train, ctx=context)
    images, algorithm = GivenResult(key="train", record=train), load_algorithm(find_method(method))
    seconds: dict[int, float] = {}
    for count in (few, few, many):  # the first run warms up: kernels are compiled and chosen
        recipe = recipe_of(method, given, count)
        stages.found = {key: made for key, made in stages.found.items() if key[0] != find_method(method).stages[-1]}
        teachers = algorithm.teach(stages, images, images, recipe)
        algorithm.distill(stages, images, teachers, recipe)
        seconds[count] = stages.seconds
    steps = given.iterations * (given.ipc if method in ("dc", "dsa") else 1)
    return {"seconds": (seconds[many] - seconds[few]) / steps, "bytes": float(stages.memory)}


def parser() -> argparse.ArgumentParser:
    """Return what understands the command line."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--methods", nargs="+", choices=list(ITERATIONS), default=list(ITERATIONS), metavar="METHOD")
    words.add_argument("--side", type=int, default=224, help="side of the images in pixels")
    words.add_argument("--classes", type=int, default=10)
    words.add_argument("--ipc", type=int, default=1, help="images per class")
    words.add_argument("--arch", default="resnet18", help="teacher of the methods that invert one")
    words.add_argument("--matching", default="convnet6", help="network of DC, DSA, DM and MTT")
    words.add_argument("--few", type=int, default=4, help="iterations of the shorter run")
    words.add_argument(
        "--iterations",
        type=int,
        default=12,
        help="further iterations of the longer one; G-VBSM takes a step with each of four teachers in turn",
    )
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--device", default="cpu")
    words.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    words.add_argument("--threads", type=int, default=torch.get_num_threads())
    words.add_argument("--out", type=Path, help="write the rounds as JSON")
    words.add_argument("--only", choices=list(ITERATIONS), help=argparse.SUPPRESS)
    return words


def main(words: Sequence[str] | None = None) -> int:
    """Print the table, or measure one method in this process."""
    words = list(sys.argv[1:] if words is None else words)
    given = parser().parse_args(words)
    if given.only:
        print(json.dumps(measure(given.only, given)))
        return 0
    rounds: dict[str, list[dict[str, float]]] = {method: [] for method in given.methods}
    for number in range(given.rounds):
        for method in given.methods:
            print(f"round {number + 1} of {given.rounds}: {title_of(method)} ...", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, *words, "--only", method]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rounds[method].append(json.loads(done.stdout.splitlines()[-1]))
    print(table(rounds))
    if given.out:
        facts = {name: value for name, value in vars(given).items() if name not in ("out", "only")}
        write_json(given.out, {"versions": versions(), "settings": facts, "rounds": rounds})
    return 0


def table(rounds: dict[str, list[dict[str, float]]]) -> str:
    """Return the medians as a table in Markdown, with times as multiples of the first method's."""
    lines = ["| method | seconds an iteration | times the first | peak memory, MB |", "|---|---:|---:|---:|"]
    first = None
    for method, found in rounds.items():
        seconds, memory = (statistics.median(each[name] for each in found) for name in ("seconds", "bytes"))
        first = seconds if first is None else first
        lines.append(f"| {title_of(method)} | {seconds:.4f} | {seconds / first:.1f} | {memory / 1e6:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
