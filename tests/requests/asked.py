"""What a command line and a call ask for, without carrying it out."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from wmdd import api
from wmdd.cli.main import main

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "distill": api.distill,
    "evaluate": api.evaluate,
    "worth": api.worth,
    "bench": api.bench,
    "predict": api.predict,
    "report": api.report,
    "status": api.status,
    "export": api.export,
    "list": api.list_names,
}


class AskedError(Exception):
    """Carries a request out of a command or a function."""


def catch(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let every request that is carried out end in this list, and nothing be done."""
    requests: list[Any] = []

    def carry_out(request: object, **facts: object) -> None:
        del facts
        requests.append(request)
        raise AskedError

    for name in ("make_run", "make_scores", "make_worth", "make_bench", "make_export"):
        monkeypatch.setattr(api, name, carry_out)
    return requests


def typed(words: list[str]) -> None:
    """Type a command up to what would carry it out."""
    with pytest.raises(AskedError):
        main(words)


def called(command: str, *targets: Any, **arguments: Any) -> None:
    """Call a command's function up to what would carry it out."""
    with pytest.raises(AskedError):
        FUNCTIONS[command](*targets, **arguments)
