"""`wmdd bench`: a table of methods, images per class, students and seeds. Parses its words at once."""

import shlex
from collections.abc import Sequence

from wmdd.cli.arguments import Action, asks_help, read_settings, show_settings, take_flags, target_of, without_help
from wmdd.cli.render import ListeningScreen, say
from wmdd.pipeline.bench_recipe import BenchRecipe
from wmdd.pipeline.workers import this_worker
from wmdd.requests.bench import BenchFlags, BenchRequest, bench_request, bench_table
from wmdd.requests.given import method_settings, require_settings, sort_given
from wmdd.settings import Section
from wmdd.settings.recipe import dotted, nested, recipe_type, setting_names


def bench(words: Sequence[str]) -> Action:
    """`wmdd bench DATA ...`."""
    if asks_help(words):
        return _help(words)
    request = read_bench(words)
    command = shlex.join(["wmdd", "bench", *words])

    def act() -> int:
        request.require_inputs()
        from wmdd import api  # noqa: PLC0415 - torch is imported here, once the input is known to be there

        with ListeningScreen().listening() as screen:
            run = api.make_bench(request, watcher=screen, command=command)
        if not this_worker().first:
            return 0
        say((run.out / "bench.md").read_text(encoding="utf-8").rstrip())
        say(f"\nreport: {run.out / 'bench.html'}")
        return 1 if any(cell["state"] == "failed" for cell in run.results["cells"]) else 0

    return act


def read_bench(words: Sequence[str]) -> BenchRequest:
    """Return the table that words ask for; raises `ConfigError` if one is wrong."""
    data = target_of(BenchFlags, words)
    own, rest = take_flags(BenchFlags, words[1:])
    methods = bench_table(data, sort_given(BenchFlags, own)[0]).cards()
    types = method_settings(methods, BenchFlags)
    settings = read_settings(rest, types, BenchFlags, lambda names: require_settings(names, methods, BenchFlags))
    return bench_request(data, {**own, **settings})


def _help(words: Sequence[str]) -> Action:
    """Return what shows the help: the table's own flags, then the settings of its cells."""
    data, rest = without_help(words)
    flags, _ = sort_given(BenchFlags, take_flags(BenchFlags, rest)[0])
    recipe = bench_table(data, flags)
    evaluate = recipe.shared.evaluate
    table = {name: getattr(recipe, name) for name in ("methods", "ipcs", "distill_seeds", "losses", "worth")}
    shorthands = {name: getattr(evaluate, name) for name in BenchFlags.shorthands}
    shown = BenchFlags(**{**table, **shorthands, **flags.model_dump(exclude_none=True)})

    def act() -> int:
        show_settings("wmdd bench DATA", shown, "Compare methods on DATA.")
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
