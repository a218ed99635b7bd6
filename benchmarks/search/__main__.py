"""Run a search, or draw its table; see the README beside.

python -m benchmarks.search run DATA --development 0.1 [--until MINUTES] [--rungs 1]
python -m benchmarks.search table
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from benchmarks.search.climbing import Pace, Search, climb
from benchmarks.search.halving import RUNGS
from benchmarks.search.state import RESULTS, read_states
from benchmarks.search.table import draw
from benchmarks.search.variants import BASE, FOLDER

from wmdd.errors import WmddError


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line and return the exit code."""
    given = _parser().parse_args(words)
    try:
        return _run(given) if given.action == "run" else _table(given)
    except WmddError as error:
        print(f"search: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    run = actions.add_parser("run", help="run the search, or go on with it")
    run.add_argument("data", help="source of the real images")
    run.add_argument("--recipe", default=str(BASE), help="name or file of the base recipe")
    run.add_argument("--development", type=float, help="share of the training images to judge on; none = the recipe's")
    run.add_argument("--variants", type=Path, default=FOLDER, help="YAML file of variants, or a folder of such files")
    run.add_argument("--rungs", type=int, choices=[rung.number for rung in RUNGS], default=RUNGS[-1].number)
    run.add_argument("--until", type=float, metavar="MINUTES", help="stop after the set in which this time is over")
    run.add_argument("--out", type=Path, default=Path("runs/search"), help="folder of the benches")
    run.add_argument("--store", type=Path, default=Path("runs/.store"), help="folder of stage results")
    table = actions.add_parser("table", help="draw the table from the files of the rungs")
    for action in (run, table):
        action.add_argument("--results", type=Path, default=RESULTS, help="folder of the rungs' files")
    return parser


def _run(given: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    search = Search.of(
        given.data,
        given.recipe,
        files=given.variants,
        development=given.development,
        rungs=RUNGS[: given.rungs],
        out=given.out,
        store=given.store,
        results=given.results,
    )
    pace = Pace(given.until, lambda text: print(text, flush=True))
    try:
        climb(search, pace)
    except KeyboardInterrupt:
        print("search: stopped; the same command goes on", file=sys.stderr)
        return 0 if pace.over else 130
    return _table(given)


def _table(given: argparse.Namespace) -> int:
    print(draw(read_states(given.results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
