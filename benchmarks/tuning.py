"""Choose a setting for each row of a table by one rule, on development images, and make the table with the choices.

    python -m benchmarks.tuning DATA --recipe paper_ablation --values 0.01 0.1 1 10 100
        [--setting recover.bn_weight] [--development 0.1] [--sets 1] [--out FOLDER] [--store FOLDER]
        [any flag of `wmdd bench`]

The rule: every row that reads the setting is made with each value from training images of which a share was cut, and
its students are tested on these. The value with the highest mean accuracy counts: of the first student under the first
protocol, over all sets and students; of equal ones the first that was named. No test image is opened for it. Then the
table is made anew with these values, from all training images, and tested on the test images.

Both are benches, `OUT/development` and `OUT/test`, so that a command that was interrupted goes on. `OUT/tuned.json` has
every value's mean, `OUT/tuned.yaml` the table as a bench recipe for `wmdd bench`. Several workers share the cells:
`torchrun --standalone --nproc-per-node 2 -m benchmarks.tuning DATA ...`.
"""

import argparse
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import wmdd
from wmdd.artifacts.files import make_folder, write_bytes, write_json
from wmdd.cli.bench import read_bench
from wmdd.errors import ConfigError, WmddError
from wmdd.evaluation.rows import BASELINE
from wmdd.methods.catalogue import find_method
from wmdd.pipeline.bench_recipe import BenchRecipe
from wmdd.pipeline.workers import this_worker
from wmdd.requests.bench import BenchRequest
from wmdd.settings.recipe import dotted, merged, recipe_type, setting_names, write_recipe

Means = dict[str, dict[str, float]]
"""Row → value as it was written → mean accuracy in per cent."""


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line and return the exit code."""
    given, rest = _parser().parse_known_args(words)
    try:
        request = read_bench([given.data, "--recipe", given.recipe, "--store", str(given.store), *rest])
        return tune(request, given)
    except WmddError as error:
        print(f"tuning: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tuning", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="source of the real images")
    parser.add_argument("--recipe", required=True, help="the table: name or file of a bench recipe")
    parser.add_argument("--values", nargs="+", required=True, help="values to choose from")
    parser.add_argument("--setting", default="recover.bn_weight", help="what is chosen; default: lambda")
    parser.add_argument("--development", type=float, default=0.1, help="share of each class to choose on")
    parser.add_argument("--sets", type=int, default=1, help="sets that a value is judged by")
    parser.add_argument("--out", type=Path, help="default: runs/tuned-RECIPE")
    parser.add_argument("--store", type=Path, default=Path("runs/.store"), help="folder of stage results")
    return parser


def tune(request: BenchRequest, given: argparse.Namespace) -> int:
    """Choose, say what was chosen, and make the table."""
    table, out = request.recipe, given.out or Path("runs") / f"tuned-{Path(given.recipe).stem}"
    rows = tuned_rows(table, given.setting)
    trials = trial_table(table, given.setting, given.values, share=given.development, sets=given.sets)
    command = shlex.join(["python", "-m", "benchmarks.tuning", *sys.argv[1:]])
    found = wmdd.bench(request.data, recipe=trials, out=out / "development", store=given.store, command=command)
    means = value_means(found.results, rows, given.values)
    chosen = {row: best(of_row) for row, of_row in means.items()}
    final = with_values(table, given.setting, chosen)
    first = this_worker().first  # of several workers the one that prints and writes
    if first:
        _say_choices(given, means, chosen)
        facts = {"setting": given.setting, "development": given.development, "means": means, "chosen": chosen}
        make_folder(out)
        write_json(out / "tuned.json", {**facts, "command": command})
        write_bytes(out / "tuned.yaml", write_recipe(final).encode())
    run = wmdd.bench(request.data, recipe=final, out=out / "test", store=given.store, command=command)
    if first:
        print((run.out / "bench.md").read_text(encoding="utf-8"))
    return int(any(cell["state"] == "failed" for cell in run.results["cells"]))


def _say_choices(given: argparse.Namespace, means: Means, chosen: Mapping[str, str]) -> None:
    for row, value in chosen.items():
        tried = ", ".join(f"{each}: {mean:.1f}" for each, mean in means[row].items())
        edge = " (at the end of the values: try further ones)" if value in (given.values[0], given.values[-1]) else ""
        print(f"{row}: {given.setting} {value}{edge}; {tried}", flush=True)


def tuned_rows(table: BenchRecipe, setting: str) -> list[str]:
    """Return the rows whose method reads the setting.

    Raises:
        ConfigError: none does.
    """
    kinds = {row: recipe_type(find_method(table.method_of(row)).settings) for row in table.rows if row != BASELINE}
    rows = [row for row, kind in kinds.items() if setting in setting_names(kind) and row in table.methods]
    if not rows:
        raise ConfigError(f"setting: no row reads it; got {setting}; name one that the methods of the table read")
    return rows


def trial_table(table: BenchRecipe, setting: str, values: Sequence[str], *, share: float, sets: int = 1) -> BenchRecipe:
    """Return the table in which every row that reads the setting stands once for each value, on development images."""
    evaluation = table.shared.evaluate
    rules = {
        "data.development": share,
        "evaluate.students": evaluation.students[:1],
        "evaluate.protocols": evaluation.protocols[:1],
        "evaluate.labels": "hard" if evaluation.labels == "hard" else "soft",
        "evaluate.references": ("random",),
    }
    trials = {
        f"{row}={value}": merged(table.variants.get(row, {}), {"method": table.method_of(row), setting: value})
        for row in tuned_rows(table, setting)
        for value in values
    }
    base = merged(table.base, rules)
    return table.with_(base=base, methods=tuple(trials), variants=trials, distill_seeds=sets, losses=False, worth=False)


def value_means(results: Mapping[str, Any], rows: Sequence[str], values: Sequence[str]) -> Means:
    """Return the mean accuracy of every row with every value; what failed has none.

    Raises:
        ConfigError: all values of a row failed.
    """
    means: Means = {row: {} for row in rows}
    for row in rows:
        for value in values:
            cells = [cell for cell in results["cells"] if cell["row"] == f"{row}={value}"]
            scores = [score["top1"] for cell in cells for score in cell["scores"]]
            if scores and all(cell["state"] == "finished" for cell in cells):
                means[row][value] = fmean(scores)
        if not means[row]:
            raise ConfigError(f"values: none of {row} could be made; got {', '.join(values)}; see bench.md")
    return means


def best(means: Mapping[str, float]) -> str:
    """Return the value with the highest mean, of equal ones the first."""
    highest = max(means.values())
    return next(value for value, mean in means.items() if math.isclose(mean, highest, rel_tol=0, abs_tol=1e-12))


def with_values(table: BenchRecipe, setting: str, chosen: Mapping[str, str]) -> BenchRecipe:
    """Return the table with a value for each row."""
    variants = {row: dotted(settings) for row, settings in table.variants.items()}
    for row, value in chosen.items():
        variants[row] = {**variants.get(row, {}), setting: value}
    return table.with_(variants=variants)


if __name__ == "__main__":
    sys.exit(main())
