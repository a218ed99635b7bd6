"""Commands that look at what is there and compute nothing: report, status, export, list, doctor, version."""

from collections.abc import Callable, Sequence
from pathlib import Path

from wmdd.cli.arguments import Action, asks_help, read_flags, refuse, target_of
from wmdd.cli.render import say, show_names, show_table
from wmdd.errors import ConfigError, did_you_mean
from wmdd.recipes import BENCHES, RECIPES
from wmdd.settings import Section

_FORMATS = ("imagefolder", "parquet", "safetensors")


class ExportFlags(Section):
    """Flags of `wmdd export`."""

    format: str | None = None
    """imagefolder, parquet or safetensors."""
    to: str | None = None
    """Folder to make."""


def report(words: Sequence[str]) -> Action:
    """`wmdd report RUN`."""
    usage = "wmdd report RUN: make RUN/report.html again; of a bench, its tables and bench.html"
    if asks_help(words):
        return lambda: say(usage)
    run = Path(target_of("report", usage, words))
    refuse(words[1:], ())

    def act() -> int:
        from wmdd.report import write_bench, write_report  # noqa: PLC0415

        write = write_bench if (run / "bench.json").exists() else write_report
        return say(str(write(run)))

    return act


def status(words: Sequence[str]) -> Action:
    """`wmdd status RUN`."""
    usage = "wmdd status RUN: how far a run is"
    if asks_help(words):
        return lambda: say(usage)
    run = target_of("status", usage, words)
    refuse(words[1:], ())

    def act() -> int:
        from wmdd.pipeline.status import run_status  # noqa: PLC0415

        found = run_status(Path(run))
        say(f"{run}: {found.sentence}")
        show_table("", ("stage", "state", "seconds", "result"), found.rows)
        return 0

    return act


def export(words: Sequence[str]) -> Action:
    """`wmdd export RUN --format F --to DIR`."""
    usage = f"wmdd export RUN --format {'|'.join(_FORMATS)} --to DIR"
    if asks_help(words):
        return lambda: say(usage)
    run, flags = target_of("export", usage, words), read_flags(ExportFlags, words[1:])
    form, to = flags.format, flags.to
    if form is None or to is None:
        raise ConfigError(f"export needs --{'format' if form is None else 'to'}; got none; type {usage}")
    if form not in _FORMATS:
        raise ConfigError(f"--format: unknown; got {form!r}{did_you_mean(form, _FORMATS)}")

    def act() -> int:
        from wmdd.methods.catalogue import title_of  # noqa: PLC0415
        from wmdd.product.reading import load  # noqa: PLC0415
        from wmdd.product.writing import export_set  # noqa: PLC0415

        distilled = load(run)
        export_set(distilled, Path(to), form, facts={"title": title_of(distilled.method)})
        return say(to)

    return act


def show_list(words: Sequence[str]) -> Action:
    """`wmdd list WHAT`."""
    if asks_help(words):
        return lambda: say("wmdd list methods|recipes|protocols|models|data")
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
        return lambda: say("wmdd doctor: what this machine has, and what is missing")
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
        return lambda: say("wmdd version: which wmdd this is")
    if words:
        raise ConfigError(f"version takes no words; got {' '.join(words)}; type `wmdd version`")

    def act() -> int:
        from wmdd import __version__  # noqa: PLC0415

        return say(__version__)

    return act
