"""Commands that look at what is there and compute nothing: report, status, export, list, doctor, version."""

from collections.abc import Callable, Sequence
from pathlib import Path

from wmdd.cli.arguments import Action, asks_help, split_words
from wmdd.cli.render import say, show_names, show_table
from wmdd.errors import ConfigError, did_you_mean
from wmdd.recipes import BENCHES, RECIPES


def _show_usage(usage: str) -> int:
    """Show what to type."""
    say(usage)
    return 0


def report(words: Sequence[str]) -> Action:
    """`wmdd report RUN`."""
    usage = "wmdd report RUN: make RUN/report.html again; of a bench, its tables and bench.html"
    if asks_help(words):
        return lambda: _show_usage(usage)
    run = split_words("report", usage, words, {}, ()).target

    def act() -> int:
        from wmdd.report import write_bench, write_report  # noqa: PLC0415

        write = write_bench if (Path(run) / "bench.json").exists() else write_report
        say(str(write(Path(run))))
        return 0

    return act


def status(words: Sequence[str]) -> Action:
    """`wmdd status RUN`."""
    usage = "wmdd status RUN: how far a run is"
    if asks_help(words):
        return lambda: _show_usage(usage)
    run = split_words("status", usage, words, {}, ()).target

    def act() -> int:
        from wmdd.pipeline.status import run_status  # noqa: PLC0415

        found = run_status(Path(run))
        say(f"{run}: {found.sentence}")
        show_table("", ("stage", "state", "seconds", "result"), found.rows)
        return 0

    return act


def export(words: Sequence[str]) -> Action:
    """`wmdd export RUN --format F --to DIR`."""
    formats = ("imagefolder", "parquet", "safetensors")
    usage = f"wmdd export RUN --format {'|'.join(formats)} --to DIR"
    own = {"format": "imagefolder, parquet or safetensors", "to": "folder to make"}
    if asks_help(words):
        return lambda: _show_usage(usage)
    found = split_words("export", usage, words, own, ())
    missing = [name for name in own if name not in found.own]
    if missing:
        raise ConfigError(f"export needs --{missing[0]}; got none; type {usage}")
    form = found.own["format"]
    if form not in formats:
        raise ConfigError(f"--format: unknown; got {form!r}{did_you_mean(form, formats)}")

    def act() -> int:
        from wmdd.methods.catalogue import title_of  # noqa: PLC0415
        from wmdd.product.reading import load  # noqa: PLC0415
        from wmdd.product.writing import export_set  # noqa: PLC0415

        distilled, to = load(found.target), Path(found.own["to"])
        export_set(distilled, to, form, facts={"title": title_of(distilled.method)})  # pyright: ignore[reportArgumentType] - checked above
        say(found.own["to"])
        return 0

    return act


def show_list(words: Sequence[str]) -> Action:
    """`wmdd list WHAT`."""
    if asks_help(words):
        return lambda: _show_usage("wmdd list methods|recipes|protocols|models|data")
    what = words[0] if words else ""
    kinds: dict[str, Callable[[], dict[str, str]]] = {
        "methods": _methods,
        "recipes": _recipes,
        "protocols": _protocols,
        "models": _models,
        "data": _data,
    }
    if what not in kinds:
        raise ConfigError(f"list: unknown kind; got {what!r}{did_you_mean(what, kinds)}")

    def act() -> int:
        show_names(f"{what}:", kinds[what]())
        return 0

    return act


def _methods() -> dict[str, str]:
    from wmdd.methods.catalogue import known_methods  # noqa: PLC0415

    return known_methods()


def _recipes() -> dict[str, str]:
    makers = {**RECIPES, **BENCHES}
    first = {name: (make.__doc__ or "").split("\n")[0] for name, make in makers.items()}
    return {name: f"bench: {line}" if name in BENCHES else line for name, line in first.items()}


def _protocols() -> dict[str, str]:
    from wmdd.evaluation.protocols import PROTOCOLS  # noqa: PLC0415

    return {name: f"{protocol.summary} ({protocol.source})" for name, protocol in PROTOCOLS.items()}


def _models() -> dict[str, str]:
    from wmdd.models.names import list_models  # noqa: PLC0415

    return list_models()


def _data() -> dict[str, str]:
    from wmdd.data.sources.table import list_forms  # noqa: PLC0415

    return list_forms()


def doctor(words: Sequence[str]) -> Action:
    """`wmdd doctor`."""
    if asks_help(words):
        return lambda: _show_usage("wmdd doctor: what this machine has, and what is missing")
    if words:
        raise ConfigError(f"doctor takes no words; got {' '.join(words)}; type `wmdd doctor`")

    def act() -> int:
        from wmdd.pipeline.doctor import examine  # noqa: PLC0415

        show_names("This machine:", examine())
        return 0

    return act


def version(words: Sequence[str]) -> Action:
    """`wmdd version`."""
    if asks_help(words):
        return lambda: _show_usage("wmdd version: which wmdd this is")
    if words:
        raise ConfigError(f"version takes no words; got {' '.join(words)}; type `wmdd version`")

    def act() -> int:
        from wmdd import __version__  # noqa: PLC0415

        say(__version__)
        return 0

    return act
