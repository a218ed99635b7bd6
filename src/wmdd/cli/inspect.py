"""Commands that look at what is there and compute nothing: predict, report, status, export, list, doctor, version."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from wmdd.cli.arguments import Action, read_flags, refuse, require_folder, target_of
from wmdd.cli.render import say, show_names, show_table
from wmdd.errors import ConfigError, did_you_mean
from wmdd.evaluation.protocols import PROTOCOLS
from wmdd.methods.catalogue import known_methods, title_of
from wmdd.models.names import list_models
from wmdd.recipes import BENCHES, RECIPES
from wmdd.settings import Section


class ExportFlags(Section):
    """Flags of `wmdd export`, both required."""

    format: str | None = None
    to: str | None = None


def report(words: Sequence[str]) -> Action:
    """`wmdd report RUN`."""
    run = Path(target_of("report", "`wmdd report RUN`", words))
    refuse(words[1:], ())

    def act() -> int:
        require_folder(str(run))
        from wmdd.report import write_bench, write_report  # noqa: PLC0415

        write = write_bench if os.path.isfile(run / "bench.json") else write_report
        return say(str(write(run)))

    return act


def predict(words: Sequence[str]) -> Action:
    """`wmdd predict BENCH`."""
    bench = Path(target_of("predict", "`wmdd predict BENCH`", words))
    refuse(words[1:], ())

    def act() -> int:
        require_folder(str(bench))
        from wmdd.report.prediction import caption, columns, lines, predict_bench, sentence, setting  # noqa: PLC0415

        found = predict_bench(bench)
        for each in found:
            show_table(setting(each), columns(each), lines(each))
            say(f"{sentence(each)}\n")
        return say(caption(found))

    return act


def status(words: Sequence[str]) -> Action:
    """`wmdd status RUN`."""
    run = target_of("status", "`wmdd status RUN`", words)
    refuse(words[1:], ())

    def act() -> int:
        from wmdd.pipeline.status import run_status  # noqa: PLC0415

        progress = run_status(Path(run))
        say(f"{run}: {progress.sentence}")
        show_table("", ("stage", "state", "seconds", "result"), progress.rows)
        for text in progress.warnings:
            say(f"warning: {text}")
        return 0

    return act


def export(words: Sequence[str]) -> Action:
    """`wmdd export RUN --format F --to DIR`."""
    formats = ("imagefolder", "parquet", "safetensors")
    usage = f"`wmdd export RUN --format {'|'.join(formats)} --to DIR`"
    run, flags = target_of("export", usage, words), read_flags(ExportFlags, words[1:])
    form, to = flags.format, flags.to
    if form is None or to is None:
        raise ConfigError(f"export needs --{'format' if form is None else 'to'}; got none; type {usage}")
    if form not in formats:
        raise ConfigError(f"--format: unknown; got {form!r}{did_you_mean(form, formats)}")

    def act() -> int:
        require_folder(run)
        from wmdd.artifacts.files import writing  # noqa: PLC0415
        from wmdd.product.reading import load  # noqa: PLC0415
        from wmdd.product.writing import export_set  # noqa: PLC0415

        distilled = load(run)
        with writing(Path(to)):
            export_set(distilled, Path(to), form, facts={"title": title_of(distilled.method)})
        return say(to)

    return act


def show_list(words: Sequence[str]) -> Action:
    """`wmdd list WHAT`."""
    what = words[0] if words else ""
    kinds: dict[str, Callable[[], dict[str, str]]] = {
        "methods": known_methods,
        "recipes": _recipes,
        "protocols": lambda: {name: f"{each.summary} ({each.source})" for name, each in PROTOCOLS.items()},
        "models": list_models,
        "data": _data,
    }
    if what not in kinds:
        raise ConfigError(f"list: unknown kind; got {what!r}{did_you_mean(what, kinds)}")
    refuse(words[1:], ())
    return lambda: show_names(f"{what}:", kinds[what]())


def _recipes() -> dict[str, str]:
    makers = {**RECIPES, **BENCHES}
    first = {name: (make.__doc__ or "").split("\n")[0] for name, make in makers.items()}
    return {name: f"bench: {line}" if name in BENCHES else line for name, line in first.items()}


def _data() -> dict[str, str]:
    from wmdd.data.sources.table import list_forms  # noqa: PLC0415 - imports pyarrow

    return list_forms()


def doctor(words: Sequence[str]) -> Action:
    """`wmdd doctor`."""
    refuse(words, ())

    def act() -> int:
        from wmdd.pipeline.doctor import examine  # noqa: PLC0415

        return show_names("This machine:", examine())

    return act


def version(words: Sequence[str]) -> Action:
    """`wmdd version`."""
    from wmdd import __version__  # noqa: PLC0415 - reads the installed package's metadata

    refuse(words, ())
    return lambda: say(__version__)
