"""`wmdd bench`: a table of methods, images per class, students and seeds. Parses its words at once."""

import shlex
from collections.abc import Sequence
from typing import Any

from pydantic import PositiveInt

from wmdd.cli.arguments import (
    Action,
    asks_help,
    read_settings,
    require_data,
    show_settings,
    take_flags,
    target_of,
    without_help,
)
from wmdd.cli.render import Screen, say
from wmdd.methods.catalogue import known_methods
from wmdd.pipeline.bench_recipe import BenchRecipe, cells
from wmdd.pipeline.checks import require_checkpoint, require_names
from wmdd.recipes import choose_bench
from wmdd.settings import Section
from wmdd.settings.recipe import dotted, merged, nested, recipe_type, setting_names

_EVALUATE = ("students", "protocols", "seeds")


class BenchFlags(Section):
    """Flags of `wmdd bench` beside the settings of its cells: rows and columns of the table."""

    methods: tuple[str, ...] = ()
    """Rows: methods, variants of the recipe, or `all`; random real images are always there."""
    ipc: tuple[PositiveInt, ...] = ()
    """Images per class."""
    students: tuple[str, ...] = ()
    """Networks to train; `wmdd list models` names them."""
    protocols: tuple[str, ...] = ()
    """How they are trained; `wmdd list protocols` names them."""
    seeds: PositiveInt = 3
    """Students for each set, student and protocol."""
    distill_seeds: PositiveInt = 1
    """Sets for each row and number of images per class."""
    losses: bool = False
    """Measure every set by the losses of distillation too, for `wmdd predict`."""
    recipe: str | None = None
    """Name of a recipe or of a bench recipe (`wmdd list recipes`), or a YAML file with one."""
    out: str | None = None
    """Folder of the bench; default runs/bench-DATA, or runs/bench-DATA-RECIPE."""
    store: str | None = None
    """Folder of stage results, shared between runs; default runs/.store."""


def bench(words: Sequence[str]) -> Action:
    """`wmdd bench DATA ...`."""
    if asks_help(words):
        return _help(words)
    data = target_of("bench", "`wmdd bench DATA [--methods all] [--ipc 1 10] ...`", words)
    own, rest = take_flags(BenchFlags, words[1:])
    flags, recipe = _read(choose_bench(data, own.get("recipe")), own)
    recipe = recipe.with_(base=merged(recipe.base, read_settings(rest, recipe.cards(), BenchFlags)))
    for cell in cells(recipe):
        require_names(cell.recipe)
    store = {"store": flags.store} if flags.store else {}
    command = shlex.join(["wmdd", "bench", *words])

    def act() -> int:
        require_checkpoint(recipe.shared)
        require_data(data)
        from wmdd import api  # noqa: PLC0415 - torch is imported here, once the input is known to be there

        out = flags.out or api.default_bench_out(data, flags.recipe)
        with Screen().listening() as screen:
            run = api.bench(data, recipe=recipe, out=out, watcher=screen, command=command, **store)
        say((run.out / "bench.md").read_text(encoding="utf-8").rstrip())
        say(f"\nreport: {run.out / 'bench.html'}")
        return 1 if any(cell["state"] == "failed" for cell in run.results["cells"]) else 0

    return act


def _read(bench: BenchRecipe, own: dict[str, Any]) -> tuple[BenchFlags, BenchRecipe]:
    """Return the flags with the values of a bench recipe where none are given, and the recipe that they make of it."""
    evaluate = bench.shared.evaluate
    table: dict[str, Any] = {"methods": bench.methods, "ipc": bench.ipcs, "distill_seeds": bench.distill_seeds}
    table["losses"] = bench.losses
    flags = BenchFlags(**{**table, **{name: getattr(evaluate, name) for name in _EVALUATE}, **own})
    rows = (*known_methods(), *bench.variants) if "all" in flags.methods else flags.methods
    base = merged(bench.base, {"evaluate": {name: getattr(flags, name) for name in _EVALUATE}})
    columns = {"ipcs": flags.ipc, "distill_seeds": flags.distill_seeds, "losses": flags.losses}
    return flags, bench.with_(base=base, methods=rows, **columns)


def _help(words: Sequence[str]) -> Action:
    """Return what shows the help: the table's own flags, then the settings of its cells."""
    data, rest = without_help(words)
    own, _ = take_flags(BenchFlags, rest)
    flags, recipe = _read(choose_bench(data, own.get("recipe")), own)

    def act() -> int:
        show_settings("wmdd bench DATA", flags, "Compare methods on DATA.")
        show_settings(
            "wmdd bench DATA", _all_settings(recipe), "Settings of every cell; `method` and `ipc` are the table's."
        )
        return 0

    return act


def _all_settings(bench: BenchRecipe) -> Section:
    """Return the settings that the rows read, in one; of two sections of one name, the larger one."""
    sections: dict[str, type[Section]] = {}
    for kind in sorted(
        (kind for card in bench.cards() for kind in card.settings), key=lambda kind: len(kind.model_fields)
    ):
        sections[kind.section] = kind
    kind = recipe_type(tuple(sections.values()))
    return kind(**nested({name: value for name, value in dotted(bench.base).items() if name in setting_names(kind)}))
