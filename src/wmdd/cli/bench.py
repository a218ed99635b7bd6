"""`wmdd bench`: a table of methods, images per class, students and seeds. Parses its words at once."""

import shlex
from collections.abc import Collection, Sequence
from typing import Any

from pydantic import PositiveInt

from wmdd.cli.arguments import (
    Action,
    asks_help,
    check_flags,
    named_settings,
    parse_settings,
    show_settings,
    split_words,
    value_of_flag,
)
from wmdd.cli.render import Screen, say
from wmdd.methods.catalogue import known_methods, known_settings, require_read
from wmdd.methods.method import Method
from wmdd.pipeline.bench_recipe import BenchRecipe, cells
from wmdd.recipes import choose_bench
from wmdd.settings import Recipe, Section
from wmdd.settings.recipe import dotted, merged, nested, recipe_type, setting_names

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
    ipc: tuple[PositiveInt, ...] = (10,)
    """Images per class."""
    students: tuple[str, ...] = ("resnet18",)
    """Networks to train; `wmdd list models` names them."""
    protocols: tuple[str, ...] = ("wmdd",)
    """How they are trained; `wmdd list protocols` names them."""
    seeds: PositiveInt = 3
    """Students for each set, student and protocol."""
    distill_seeds: PositiveInt = 1
    """Sets for each row and number of images per class."""


def bench(words: Sequence[str]) -> Action:
    """`wmdd bench DATA ...`."""
    if asks_help(words):
        return _help(words)
    found = split_words("bench", _USAGE, words, BENCH_FLAGS, None)
    recipe = _recipe(choose_bench(found.target, found.own.get("recipe")), found.rest)
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


def _recipe(given: BenchRecipe, words: Sequence[str]) -> BenchRecipe:
    """Return the bench recipe with what the command line replaces."""
    own, settings = _parted(words, {name.replace("_", "-") for name in BenchWords.model_fields})
    chosen = parse_settings("wmdd bench DATA", _words_of(given), own)
    rows = (*known_methods(), *given.variants) if "all" in chosen.methods else chosen.methods
    bench = given.with_(methods=rows, ipcs=chosen.ipc, distill_seeds=chosen.distill_seeds)
    evaluate = {"students": chosen.students, "protocols": chosen.protocols, "seeds": chosen.seeds}
    changes = _settings(bench, settings)
    return bench.with_(base=merged(given.base, {"evaluate": evaluate}, changes), given=tuple(changes))


def _settings(bench: BenchRecipe, words: Sequence[str]) -> dict[str, Any]:
    """Return the settings of cells that words give, dotted; which there are depends on the rows."""
    kind = _union(bench.cards())
    known = [name for name in setting_names(kind) if name not in _NOT_HERE]
    others = [name for name in known_settings() if name not in _NOT_HERE]
    check_flags(words, BENCH_FLAGS, [*known, *BenchWords.model_fields, *others])
    names = named_settings(words, known)
    require_read(names, bench.cards())
    values = dotted(parse_settings("wmdd bench DATA", kind(), words).model_dump())
    return {name: values[name] for name in names}


def _union(cards: Sequence[Method]) -> type[Recipe]:
    """Return the type of a recipe with the sections of all methods; of two of one name, the larger one."""
    sections: dict[str, type[Section]] = {}
    for kind in (kind for card in cards for kind in card.settings):
        known = sections.get(kind.section, kind)
        sections[kind.section] = kind if len(kind.model_fields) > len(known.model_fields) else known
    return recipe_type(tuple(sections.values()))


def _words_of(bench: BenchRecipe) -> BenchWords:
    """Return the words that say what a bench recipe says."""
    evaluate = bench.shared.evaluate
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
    data = plain[0] if plain and not plain[0].startswith("-") else ""
    given = choose_bench(data, value_of_flag(plain, "recipe"))
    flags = "\n".join(f"--{name}: {meaning}" for name, meaning in BENCH_FLAGS.items())

    def act() -> int:
        show_settings("wmdd bench DATA", _words_of(given), f"Compare methods on DATA.\n\n{flags}")
        cells_of = _union(given.cards())(**_kept(given))
        show_settings("wmdd bench DATA", cells_of, "Settings of every cell; `method` and `ipc` are the table's.")
        return 0

    return act


def _kept(bench: BenchRecipe) -> dict[str, Any]:
    """Return the settings of the base that the rows read."""
    known = setting_names(_union(bench.cards()))
    return nested({name: value for name, value in dotted(bench.base).items() if name in known})
