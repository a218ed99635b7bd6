"""Commands that look at what is there and compute nothing: predict, report, status, export, list, doctor, version."""

from collections.abc import Sequence

from wmdd.cli.arguments import Action, read_flags, refuse, target_of
from wmdd.cli.render import say, show_names, show_table
from wmdd.requests.inspect import (
    ExportFlags,
    PredictFlags,
    ReportFlags,
    StatusFlags,
    export_request,
    list_names,
    list_request,
    predict_request,
    report_request,
    status_request,
)


def report(words: Sequence[str]) -> Action:
    """`wmdd report RUN`."""
    request = report_request(target_of(ReportFlags, words))
    refuse(words[1:], ())

    def act() -> int:
        request.require_inputs()
        from wmdd.report import write_page  # noqa: PLC0415 - imports matplotlib

        return say(str(write_page(request.run)))

    return act


def predict(words: Sequence[str]) -> Action:
    """`wmdd predict BENCH`."""
    request = predict_request(target_of(PredictFlags, words))
    refuse(words[1:], ())

    def act() -> int:
        request.require_inputs()
        from wmdd.report.prediction import caption, columns, lines, predict_bench, sentence, setting  # noqa: PLC0415

        found = predict_bench(request.run)
        for each in found:
            show_table(setting(each), columns(each), lines(each))
            say(f"{sentence(each)}\n")
        return say(caption(found))

    return act


def status(words: Sequence[str]) -> Action:
    """`wmdd status RUN`."""
    run = status_request(target_of(StatusFlags, words)).run
    refuse(words[1:], ())

    def act() -> int:
        from wmdd.pipeline.status import run_status  # noqa: PLC0415

        progress = run_status(run)
        say(f"{run}: {progress.sentence}")
        show_table("", ("stage", "state", "seconds", "result"), progress.rows)
        for text in progress.warnings:
            say(f"warning: {text}")
        return 0

    return act


def export(words: Sequence[str]) -> Action:
    """`wmdd export RUN --format F --to DIR`."""
    request = export_request(target_of(ExportFlags, words), read_flags(ExportFlags, words[1:]))

    def act() -> int:
        request.require_inputs()
        from wmdd import api  # noqa: PLC0415 - torch is imported here, once the input is known to be there

        return say(str(api.make_export(request)))

    return act


def show_list(words: Sequence[str]) -> Action:
    """`wmdd list WHAT`."""
    what = list_request(words[0] if words else "")
    refuse(words[1:], ())
    return lambda: show_names(f"{what}:", list_names(what))


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
