"""Small forms of the paper's tables: the same rows on another recipe, derived, so that no row is written twice.

- `smoke`: on the digits with next to no training. It shows that a table runs, and nothing else.
- `on_testbed`: on the fast testbed, CIFAR-10 at 32 pixels, where a student costs less than a minute of one thread.
"""

from collections.abc import Callable
from typing import Any

from wmdd.pipeline.bench_recipe import BenchRecipe
from wmdd.recipes.digits import digits
from wmdd.recipes.testbed import testbed
from wmdd.settings.recipe import merged

Make = Callable[[], BenchRecipe]
_SMALLEST = {
    "squeeze": {"arch": "convnet1_w8_bn", "epochs": 1},
    **dict.fromkeys(("recover", "sre2l", "cda", "scdd"), {"iterations": 2}),
    "datadam": {"arch": "convnet2_w4_bn", "iterations": 2, "batch_real": 6},
    "dm": {"arch": "convnet1_w4", "iterations": 2, "batch_real": 6},
    "experts": {"arch": "convnet1_w4_in", "count": 1, "epochs": 2, "batch": 256},
    "mtt": {"iterations": 2, "steps": 2, "start_max": 1},
    "kip": {"iterations": 2, "batch": 20},
    "selfsupervised": {"epochs": 1, "batch": 256, "probe_epochs": 2},
    "gvbsm": {"iterations": 2, "teachers": ("convnet1_w4_bn",)},
    "rded": {"sample": 12},
    "evaluate": {"epochs": 2, "seeds": 1, "tests": 1, "labels": "soft"},
}


def smoke(make: Make) -> Make:
    """Return the rows of a table on the digits with next to no training."""

    def reduced() -> BenchRecipe:
        bench = make()
        evaluation = bench.shared.evaluate
        several = ("convnet1_w8_bn", "convnet2_w4_bn")
        students = several if len(evaluation.students) > 1 else several[:1]
        beside = {"evaluate.students": students, "evaluate.references": evaluation.references}
        base = merged(digits(), _SMALLEST, beside)
        ipcs = (1,) if bench.variants else (1, 2)[: len(bench.ipcs)]
        return bench.with_(base=base, ipcs=ipcs, distill_seeds=1)

    reduced.__name__ = f"{make.__name__}_smoke"
    reduced.__doc__ = f"Run the rows of {make.__name__} on the digits in seconds."
    return reduced


def on_testbed(
    make: Make,
    *,
    hours: float,
    sets: int = 3,
    students: tuple[str, ...] | None = None,
    seeds: int = 1,
    rows: dict[str, Any] | None = None,
    measured: str = "not yet.",
) -> Make:
    """Return the rows of a table on the fast testbed at 10 images a class, under soft and hard labels.

    Args:
        make: the table.
        hours: of one thread, estimated.
        sets: distilled for each row.
        students: networks that are trained; None = the testbed's.
        seeds: students of each kind for each set.
        rows: settings in which variants differ from those of the table, such as a shift in pixels, where they have it.
        measured: the date and what was found.
    """

    def reduced() -> BenchRecipe:
        bench = make()
        evaluation = {"seeds": seeds, "references": bench.shared.evaluate.references}
        base = merged(testbed(), {"evaluate": evaluation if students is None else {**evaluation, "students": students}})
        changed = {
            row: {name: (rows or {}).get(name, value) for name, value in settings.items()}
            for row, settings in bench.variants.items()
        }
        return bench.with_(base=base, ipcs=(10,), distill_seeds=sets, variants=changed)

    name = make.__name__.replace("paper", "testbed", 1)
    first = (make.__doc__ or "").split("\n")[0]
    reduced.__name__ = name
    reduced.__doc__ = f"""Reduce {make.__name__} to the fast testbed: CIFAR-10, 10 images a class, soft and hard labels.

    Source: `{make.__name__}`, whose rows it has: {first[0].lower()}{first[1:]} Recipe `testbed` has the teacher and the
        reduced settings of each method.
    Command: `wmdd bench FOLDER --recipe {name}`, with CIFAR-10 in Parquet files
    Cost: about {hours:g} h of one thread by its operations, the teacher's half hour included;
        `python benchmarks/hours.py {name} --here` counts them by this machine's speed.
    Expected: no published numbers under these settings.
    Last measured: {measured}
    """
    return reduced
