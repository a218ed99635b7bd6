"""One table: every stage against its floor, workers, memory as classes grow, and bytes of soft labels.

    python -m benchmarks.table [--parts ratios workers memory labels] [--out FILE.json]     # make bench

| part | what | alone |
|---|---|---|
| ratios | each stage against the bare work in the same process and precision | `python -m benchmarks.ratios` |
| workers | two workers of one thread against one | `python -m benchmarks.workers` |
| memory | peak memory and seconds of each stage at 10, 100 and 1,000 classes | `python -m benchmarks.memory` |
| labels | bytes of soft labels by how they are stored | `python -m benchmarks.label_bytes` |

A row whose limit is not kept ends in BEYOND. The sizes are meant for two quiet cores and a quarter of an hour; what a
part costs on its own is in its file.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from benchmarks.rows import Row, command_of, machine, write_rows

from benchmarks import label_bytes, memory, ratios, workers

Part = Callable[[argparse.Namespace], Iterable[Row]]


def _ratios(asked: argparse.Namespace) -> Iterable[Row]:
    scale = replace(ratios.Scale(), steps=asked.steps)
    return ratios.rows(torch.device(asked.device), asked.precisions, asked.rounds, scale)


def _workers(asked: argparse.Namespace) -> Iterable[Row]:
    del asked
    return workers.rows()


def _memory(asked: argparse.Namespace) -> Iterable[Row]:
    return memory.rows(asked.classes, memory.Scene())


def _labels(asked: argparse.Namespace) -> Iterable[Row]:
    del asked
    return label_bytes.rows()


PARTS: Mapping[str, Part] = {"ratios": _ratios, "workers": _workers, "memory": _memory, "labels": _labels}


def main() -> None:
    """Print the table row by row, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3, help="of ratios: alternations of the two sides")
    parser.add_argument("--steps", type=int, default=5, help="of ratios: steps of recover, epochs of labels")
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=("fp32", "bf16"))
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100, 1000], help="of memory")
    parser.add_argument("--device", default="cpu", help="of ratios")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file that keeps the table")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    about, table = machine(torch.device(asked.device)), list[Row]()
    for name in asked.parts:
        for row in PARTS[name](asked):
            print(row, flush=True)
            table.append(row)
    beyond = sum(not row.kept for row in table)
    print(f"{len(table)} figures, {beyond} beyond their limits")
    if asked.out:
        write_rows(asked.out, table, command_of("table"), about)


if __name__ == "__main__":
    main()
