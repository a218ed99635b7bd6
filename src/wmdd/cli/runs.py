"""Commands that compute: distill and evaluate. Each parses its words at once and returns what to do."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from pydantic import PositiveInt

from wmdd.cli.arguments import (
    Action,
    asks_help,
    named_settings,
    parse_settings,
    show_settings,
    split_words,
    value_of_flag,
)
from wmdd.cli.render import Screen, say, show_table
from wmdd.errors import ConfigError, did_you_mean
from wmdd.methods.catalogue import complete, find_method, known_methods, known_settings, require_read
from wmdd.recipes import choose_recipe
from wmdd.settings import Recipe, Section
from wmdd.settings.recipe import merged, recipe_type, setting_names

_CHAIN = ("squeeze", "random", "diagnose", "relabel", "evaluate", "full_data")
"""Stages of every run; those of its method come from the method's card."""
_DISTILL_FLAGS = {
    "recipe": "name of a recipe (`wmdd list recipes`) or a YAML file; default: the one called like DATA, else none",
    "out": "folder for what the run leaves behind; default runs/DATA-METHOD-ipcN",
    "store": "folder of stage results, shared between runs; default runs/.store",
    "until": "stop after this stage: squeeze, one of the method's own, random, diagnose, relabel, evaluate, full_data",
}
_DISTILL_USAGE = "`wmdd distill DATA [--ipc 10] ...`"


class EvaluateWords(Section):
    """Settings of `wmdd evaluate`."""

    student: tuple[str, ...] = ("resnet18",)
    """Networks to train; `wmdd list models` names them."""
    protocol: tuple[str, ...] = ("wmdd",)
    """How they are trained; `wmdd list protocols` names them."""
    seeds: PositiveInt = 3
    """Students for each row."""
    labels: Literal["soft", "hard", "both"] = "soft"
    """Learn from the teacher's answers; or from what the set brings itself, its fixed targets or the class; or both."""
    epochs: PositiveInt | None = None
    """Epochs instead of the protocol's own; none = as in the run."""
    device: str | None = None
    """auto = CUDA, else MPS, else CPU; none = as in the run."""
    precision: Literal["auto", "fp32", "bf16"] | None = None
    """Type in which networks compute; none = as in the run."""


def distill(words: Sequence[str]) -> Action:
    """`wmdd distill DATA ...`."""
    if asks_help(words):
        base = _recipe_of_help(words)
        flags = "\n".join(f"--{name}: {meaning}" for name, meaning in _DISTILL_FLAGS.items())
        return lambda: _show_help("wmdd distill DATA", base, f"Distil DATA and evaluate the result.\n\n{flags}")
    found = split_words("distill", _DISTILL_USAGE, words, _DISTILL_FLAGS, _known(words))
    own, data = found.own, found.target
    base = choose_recipe(data, own.get("recipe"))
    default = complete(merged(base, _method(found.rest)))
    method = find_method(default.method)
    require_read(named_settings(found.rest, setting_names(type(default))), [method])
    stages = (*_CHAIN, *method.stages)
    if own.get("until", "evaluate") not in stages:
        raise ConfigError(
            f"--until: no stage of {method.name}; got {own['until']!r}{did_you_mean(own['until'], stages)}"
        )
    recipe = parse_settings("wmdd distill DATA", default, found.rest)
    command = shlex.join(["wmdd", "distill", *words])

    def act() -> int:
        from wmdd import api  # noqa: PLC0415 - torch is imported here, once the words are known to be right

        screen = Screen()
        with screen.listening():
            run = api.distill(
                data,
                recipe=recipe,
                out=own.get("out"),
                store=own.get("store", api.DEFAULT_STORE),
                until=own.get("until"),
                watcher=screen,
                command=command,
            )
        if run.metrics:
            _show_scores(run.metrics["evaluations"])
            say(f"report: {run.out / 'report.html'}")
        else:
            say(f"stopped after {own['until']}; the same command without --until goes on")
        return 0

    return act


def _method(words: Sequence[str]) -> dict[str, str]:
    """Return the method that words name, as a setting: which other settings there are depends on it."""
    named = value_of_flag(words, "method")
    return {} if named is None else {"method": named}


def _known(words: Sequence[str]) -> list[str]:
    """Return the settings that there are: those of our methods, and those of the one that is named."""
    named = value_of_flag(words, "method")
    own = setting_names(recipe_type(find_method(named).settings)) if named in known_methods() else {}
    return [*known_settings(), *own]


def _recipe_of_help(words: Sequence[str]) -> Recipe:
    """Return the recipe whose values the help should show as defaults."""
    plain = [word for word in words if word not in {"-h", "--help"}]
    data = plain[0] if plain and not plain[0].startswith("-") else ""
    return complete(merged(choose_recipe(data, value_of_flag(plain, "recipe")), _method(plain)))


def _show_help(prog: str, default: Section, description: str) -> int:
    """Show a command's help."""
    show_settings(prog, default, description)
    return 0


def evaluate(words: Sequence[str]) -> Action:
    """`wmdd evaluate RUN --data DATA ...`."""
    own = {"data": "source of the real images that the set was distilled from"}
    if asks_help(words):
        text = "Train students on the set of RUN and on random real images.\n\n--data: " + own["data"]
        return lambda: _show_help("wmdd evaluate RUN --data DATA", EvaluateWords(), text)
    usage = "`wmdd evaluate RUN --data DATA`"
    found = split_words("evaluate", usage, words, own, list(EvaluateWords.model_fields))
    if "data" not in found.own:
        raise ConfigError(f"evaluate needs the real images; got no --data; type {usage}")
    chosen = parse_settings("wmdd evaluate RUN", EvaluateWords(), found.rest)
    more = {"evaluate.epochs": chosen.epochs, "device": chosen.device, "precision": chosen.precision}

    def act() -> int:
        from wmdd import api  # noqa: PLC0415

        screen = Screen()
        with screen.listening():
            evaluation = api.evaluate(
                found.target,
                found.own["data"],
                students=chosen.student,
                protocols=chosen.protocol,
                seeds=chosen.seeds,
                labels=chosen.labels,
                settings={name: value for name, value in more.items() if value is not None},
                watcher=screen,
            )
        _show_scores([asdict(score) for score in evaluation.scores])
        return 0

    return act


def _show_scores(evaluations: Sequence[dict[str, Any]]) -> None:
    """Print the accuracy table and the verdict."""
    from wmdd.report import plus_minus, summary_rows, verdict  # noqa: PLC0415

    metrics = {"schema": 1, "evaluations": list(evaluations)}
    rows = [
        (row.set, row.ipc, row.student, row.protocol, row.labels, plus_minus(row.mean, row.std), row.n)
        for row in summary_rows(metrics)
    ]
    show_table("Top-1 accuracy, last epoch", ("set", "ipc", "student", "protocol", "labels", "top-1 %", "seeds"), rows)
    say(verdict(metrics))
