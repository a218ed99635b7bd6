"""`wmdd bench`: a table of methods, images per class, students and seeds. Parses its words at once."""

import shlex
from collections.abc import Collection, Sequence
from typing import Any

from wmdd.cli.arguments import Action, asks_help, parse_settings, show_settings, split_words, take_options
from wmdd.cli.render import Screen, say
from wmdd.methods.names import known_methods
from wmdd.pipeline.bench_recipe import BenchRecipe, cells
from wmdd.pipeline.recipe import setting_names
from wmdd.recipes import choose_bench
from wmdd.settings import Positive, Section

BENCH_FLAGS = {
    "recipe": "name of a recipe or of a bench recipe (`wmdd list recipes`), or a YAML file with one",
    "out": "folder of the bench; default runs/bench-DATA, or runs/bench-DATA-RECIPE",
    "store": "folder of stage results, shared between runs; default runs/.store",
}
_USAGE = "`wmdd bench DATA [--methods all] [--ipc 1 10] ...`"
_NOT_HERE = {"method", "ipc"}
"""Settings of a run that are rows or columns of a bench."""


class BenchWords(Section):
    """Rows and columns of the table."""

    methods: tuple[str, ...] = ("random", "wmdd")
    """Rows: methods, variants of the recipe, or `all`; random real images are always there."""
    ipc: tuple[Positive, ...] = (10,)
    """Images per class."""
    students: tuple[str, ...] = ("resnet18",)
    """Networks to train; `wmdd list models` names them."""
    protocols: tuple[str, ...] = ("wmdd",)
    """How they are trained; `wmdd list protocols` names them."""
    seeds: Positive = 3
    """Students for each set, student and protocol."""
    distill_seeds: Positive = 1
    """Sets for each row and number of images per class."""


def bench(words: Sequence[str]) -> Action:
    """`wmdd bench DATA ...`."""
    if asks_help(words):
        return _help(words)
    options, plain = take_options(words)
    known = [*BenchWords.model_fields, *(name for name in setting_names() if name not in _NOT_HERE)]
    found = split_words("bench", _USAGE, plain, BENCH_FLAGS, known)
    recipe = _recipe(choose_bench(found.target, found.own.get("recipe")), options, found.rest)
    cells(recipe)  # wrong rows are told before torch is imported
    command = shlex.join(["wmdd", "bench", *words])

    def act() -> int:
        from wmdd import api  # noqa: PLC0415 - torch is imported here, once the words are known to be right

        out = found.own.get("out") or api.default_bench_out(found.target, found.own.get("recipe"))
        screen = Screen()
        with screen.listening():
            run = api.bench(
                found.target,
                recipe=recipe,
                out=out,
                store=found.own.get("store", api.DEFAULT_STORE),
                watcher=screen,
                command=command,
            )
        say((run.out / "bench.md").read_text(encoding="utf-8").rstrip())
        say(f"\nreport: {run.out / 'bench.html'}")
        return 1 if any(cell["state"] == "failed" for cell in run.results["cells"]) else 0

    return act


def _recipe(given: BenchRecipe, options: dict[str, Any], words: Sequence[str]) -> BenchRecipe:
    """Return the bench recipe with what the command line replaces."""
    own, settings = _parted(words, {name.replace("_", "-") for name in BenchWords.model_fields})
    base = parse_settings("wmdd bench DATA", given.base.with_settings(options), settings)
    chosen = parse_settings("wmdd bench DATA", _words_of(given.with_(base=base)), own)
    evaluate = {"students": chosen.students, "protocols": chosen.protocols, "seeds": chosen.seeds}
    rows = (*known_methods(), *given.variants) if "all" in chosen.methods else chosen.methods
    return given.with_(
        base=base.with_settings({"evaluate": evaluate}),
        methods=rows,
        ipcs=chosen.ipc,
        distill_seeds=chosen.distill_seeds,
    )


def _words_of(bench: BenchRecipe) -> BenchWords:
    """Return the words that say what a bench recipe says."""
    evaluate = bench.base.evaluate
    return BenchWords(
        methods=bench.methods,
        ipc=bench.ipcs,
        students=evaluate.students,
        protocols=evaluate.protocols,
        seeds=evaluate.seeds,
        distill_seeds=bench.distill_seeds,
    )


def _parted(words: Sequence[str], own: Collection[str]) -> tuple[list[str], list[str]]:
    """Part words into those of the flags in `own`, with their values, and the others."""
    parts: tuple[list[str], list[str]] = ([], [])
    current = parts[1]
    for word in words:
        if word.startswith("--"):
            name = word.removeprefix("--").partition("=")[0].replace("_", "-")
            current = parts[0] if name in own else parts[1]
        current.append(word)
    return parts


def _help(words: Sequence[str]) -> Action:
    """Return what shows the help: the table's own flags, then the settings of its cells."""
    plain = [word for word in words if word not in {"-h", "--help"}]
    named = plain[plain.index("--recipe") + 1] if "--recipe" in plain[:-1] else None
    given = choose_bench(plain[0] if plain else "", named)
    flags = "\n".join(f"--{name}: {meaning}" for name, meaning in BENCH_FLAGS.items())

    def act() -> int:
        show_settings("wmdd bench DATA", _words_of(given), f"Compare methods on DATA.\n\n{flags}")
        show_settings("wmdd bench DATA", given.base, "Settings of every cell; `method` and `ipc` are the table's.")
        return 0

    return act
