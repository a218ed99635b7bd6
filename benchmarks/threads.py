"""One thread against two, and how two wait for each other: training steps a second, on whatever else the machine does.

`python benchmarks/threads.py` takes turns of three seconds in one process each, because libgomp reads how it waits
when it is loaded. On a quiet machine it says what waiting in short spins costs; on a busy one, what it saves.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from wmdd.models.building import build_model, resolve_spec

TURN = 3.0
WAYS = {
    "1 thread": (1, {}),
    "2, libgomp's default": (2, {}),
    "2, GOMP_SPINCOUNT=1000": (2, {"GOMP_SPINCOUNT": "1000"}),
    "2, OMP_WAIT_POLICY=passive": (2, {"OMP_WAIT_POLICY": "passive"}),
}
NETWORKS = {"convnet2_bn": (1, 8, 10), "convnet3_w64_bn": (3, 32, 50), "resnet18": (3, 32, 50)}
"""Channels, pixels and images in a step."""


def work(arch: str, threads: int) -> None:
    """Train in turns: one for each line read, answered by steps and processor seconds, each per second or step."""
    torch.set_num_threads(threads)
    channels, size, batch = NETWORKS[arch]
    model = build_model(resolve_spec(arch, num_classes=10, channels=channels, image_size=size))
    optimiser = torch.optim.AdamW(model.parameters())
    images, labels = torch.randn(batch, channels, size, size), torch.randint(0, 10, (batch,))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        steps, start, spent = 0, time.perf_counter(), time.process_time()
        while not steps or time.perf_counter() - start < TURN:
            optimiser.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimiser.step()
            steps += 1
        seconds = time.perf_counter() - start
        sys.stdout.write(f"{steps / seconds} {(time.process_time() - spent) / steps}\n")
        sys.stdout.flush()


def compare(arch: str, turns: int) -> None:
    """Write the medians of all ways of one network."""
    running: dict[str, subprocess.Popen[str]] = {}
    for name, (threads, changes) in WAYS.items():
        environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"} | changes
        words = [sys.executable, __file__, "--work", arch, str(threads)]
        running[name] = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        _answer(running[name])
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for _ in range(turns):
        for name, process in running.items():
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            rate, seconds = map(float, _answer(process).split())
            found[name].append((rate, seconds))
    load = Path("/proc/loadavg")
    sys.stdout.write(f"{arch}, load {load.read_text().strip() if load.exists() else 'unknown'}\n")
    for name, values in found.items():
        rate, seconds = (statistics.median(part) for part in zip(*values, strict=True))
        sys.stdout.write(f"  {name:28s}{rate:10.2f} steps/s{1e3 * seconds:10.1f} ms of processors a step\n")
    for process in running.values():
        process.communicate()


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    given = parser.parse_args()
    if given.work:
        work(given.work[0], int(given.work[1]))
    for arch in () if given.work else given.networks:
        compare(arch, given.turns)
