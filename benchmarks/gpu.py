"""What a machine with a GPU should show: that its results are the CPU's, how fast it is, and the paper's main table.

    python -m benchmarks.gpu smoke [--only NAME]
    python -m benchmarks.gpu ratios [--rounds 10]
    python -m benchmarks.gpu reproduce FOLDER [--minutes 25] [--effort sized|whole]
    python -m benchmarks.gpu estimate [--effort sized|whole]

From the root of a checkout. Each writes a file into benchmarks/results/ as it goes: device, versions, command, commit,
and what was found. `--device cpu` checks the program itself where there is no GPU, and the file says so. docs/gpu.md
has what the machine needs.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from wmdd.artifacts.files import make_folder, write_json
from wmdd.errors import WmddError
from wmdd.pipeline.devices import choose_device
from wmdd.pipeline.provenance import versions

RESULTS = Path(__file__).parent / "results"
PLACES = {"--out", "--store", "--results"}
"""Options whose values are paths."""


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line and return the exit code: 0 if all holds, 1 if something does not, 2 for wrong input."""
    words = sys.argv[1:] if words is None else words
    given = _parser().parse_args(words)
    given.command = command_of(words, getattr(given, "data", ""))
    try:
        return given.run(given)
    except WmddError as error:
        print(f"gpu: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(required=True)
    smoke = actions.add_parser("smoke", help="every stage and method on the device, against the CPU")
    smoke.add_argument("--only", default="", help="part of the names of the cases to run")
    smoke.set_defaults(run=_smoke)
    ratios = actions.add_parser("ratios", help="every stage against its floor")
    ratios.add_argument("--rounds", type=int, default=10)
    ratios.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=("fp32", "bf16"))
    ratios.add_argument("--arch", help="another network than ResNet-18")
    ratios.add_argument("--side", type=int, nargs="+", default=(64, 224), help="pixels of the images")
    ratios.add_argument("--copies", type=int, help="real images for each of the 100 of a step")
    ratios.set_defaults(run=_ratios)
    reproduce = actions.add_parser("reproduce", help="the paper's main table on Imagenette, or go on with it")
    reproduce.add_argument("data", help="folder of Imagenette; with --effort tiny: digits")
    reproduce.add_argument("--minutes", type=float, help="stop when this time is over; none = at the end")
    reproduce.add_argument("--out", type=Path, default=Path("runs/gpu"), help="folder of the benches")
    reproduce.add_argument("--store", type=Path, default=Path("runs/.store"), help="folder of stage results")
    reproduce.set_defaults(run=_reproduce)
    estimate = actions.add_parser("estimate", help="what `reproduce` will take, by counting")
    estimate.set_defaults(run=_estimate)
    for action in (reproduce, estimate):
        action.add_argument("--effort", choices=("sized", "whole", "tiny"), default="sized")
        action.add_argument("--ipcs", type=int, nargs="+", default=(10, 1, 50, 100), help="images a class, in order")
    for action in (smoke, ratios, reproduce):
        action.add_argument("--device", default="cuda")
        action.add_argument("--results", type=Path, default=RESULTS, help="folder of the file that is written")
        action.add_argument("--commit", default="", help="of the code, where it is no checkout")
    return parser


def command_of(words: Sequence[str], data: str) -> str:
    """Return the command without the machine's paths."""
    kept = [
        "FOLDER" if word == data and data != "digits" else word
        for before, word in zip(("", *words), words, strict=False)
        if not {before, word} & PLACES and not word.startswith(tuple(f"{place}=" for place in PLACES))
    ]
    return " ".join(("python -m benchmarks.gpu", *kept))


def facts(command: str, device: torch.device, commit: str) -> dict[str, Any]:
    """Return what is known of the machine and the code; no paths."""
    found = versions()
    cuda = device.type == "cuda"
    return {
        "command": command,
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": torch.cuda.get_device_name(device) if cuda else str(device),
        "gpu": cuda,
        "cuda": torch.version.cuda if cuda else None,
        "commit": commit or found.get("commit", ""),
        "versions": {name: version for name, version in found.items() if name != "commit"},
    }


def _smoke(given: argparse.Namespace) -> int:
    from benchmarks.smoke import smoke  # noqa: PLC0415 - imports the tests

    device, path = _begin(given, "smoke")
    found: list[dict[str, Any]] = []
    header = facts(given.command, device, given.commit)
    for agreement in smoke(device, given.only):
        print(agreement.text, flush=True)
        found.append({**asdict(agreement), "holds": agreement.holds})
        write_json(path, {**header, "cases": found})
    failed = [each["case"] for each in found if not each["holds"]]
    print(f"{len(found) - len(failed)} of {len(found)} cases agree on {header['device']}")
    return int(bool(failed) or not found)


def _ratios(given: argparse.Namespace) -> int:
    from benchmarks.ratios import Scale, ratios  # noqa: PLC0415

    device, path = _begin(given, "ratios")
    header = facts(given.command, device, given.commit)
    changes = {name: value for name in ("arch", "copies") if (value := getattr(given, name)) is not None}
    found: list[dict[str, Any]] = []
    for side in given.side:
        scale = Scale(side=side, **changes)
        for ratio in ratios(device, given.precisions, given.rounds, scale):
            print(f"{side} px, {ratio.text}", flush=True)
            found.append({**asdict(scale), **asdict(ratio), "ratio": ratio.value})
            write_json(path, {**header, "ratios": found})
    return 0


def _reproduce(given: argparse.Namespace) -> int:
    from benchmarks.reproduce import Request, reproduce  # noqa: PLC0415

    device, path = _begin(given, f"reproduce_{given.effort}")
    asked = Request(
        data=given.data,
        effort=given.effort,
        ipcs=tuple(given.ipcs),
        device=given.device,
        out=given.out,
        store=given.store,
        results=path,
        minutes=given.minutes,
        facts=facts(given.command, device, given.commit),
    )
    finished = reproduce(asked)
    print("finished" if finished else "not finished; the same command goes on", flush=True)
    return 0


def _estimate(given: argparse.Namespace) -> int:
    from benchmarks.reproduce import FLOPS, STEP, estimates  # noqa: PLC0415

    total = 0.0
    for part in estimates(given.effort, given.ipcs):
        total += part.minutes
        print(f"{part.ipc:4} images a class: {part.petaflop:6.1f} PFLOP, {part.minutes:5.1f} min, {total:5.1f} so far")
    print(f"at {FLOPS / 1e12:.0f} TFLOP/s and at least {1e3 * STEP:.0f} ms a step, both assumed")
    return 0


def _begin(given: argparse.Namespace, name: str) -> tuple[torch.device, Path]:
    """Return the device and the file of the results, and say what is checked."""
    device = choose_device(given.device)
    if device.type == "cpu":
        print("No GPU: the CPU takes its place. This checks the program, and says nothing about a GPU.")
    make_folder(given.results)
    return device, given.results / f"gpu_{name}_{device.type}.json"


if __name__ == "__main__":
    sys.exit(main())
