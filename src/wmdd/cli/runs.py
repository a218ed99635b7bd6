"""Commands that compute: distill and evaluate. Each parses its words at once and returns what to do."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from wmdd.cli.arguments import Action, asks_help, parse_settings, show_settings, split_words, take_options
from wmdd.cli.render import Screen, say, show_table
from wmdd.errors import ConfigError, did_you_mean
from wmdd.pipeline.recipe import Recipe, setting_names
from wmdd.recipes import choose_recipe
from wmdd.settings import Section

STAGES = (
    *("squeeze", "statistics", "barycenter", "recover", "random", "diagnose", "relabel", "evaluate", "full_data"),
    *("herding", "k-center", "k-means", "rded"),
    *("match_gradients", "match_means"),
    *("dd", "experts", "mtt", "kip", "ls"),
    *("invert", "layer_statistics", "gvbsm", "selfsupervised"),
)
_DISTILL_FLAGS = {
    "recipe": "name of a recipe (`wmdd list recipes`) or a YAML file; default: the one called like DATA, else none",
    "out": "folder for what the run leaves behind; default runs/DATA-METHOD-ipcN",
    "store": "folder of stage results, shared between runs; default runs/.store",
    "until": f"stop after this stage: {', '.join(STAGES)}",
}
_DISTILL_USAGE = "`wmdd distill DATA [--ipc 10] ...`"


class EvaluateWords(Section):
    """Settings of `wmdd evaluate`."""

    student: tuple[str, ...] = ("resnet18",)
    """Networks to train; `wmdd list models` names them."""
    protocol: tuple[str, ...] = ("wmdd",)
    """How they are trained; `wmdd list protocols` names them."""
    seeds: Annotated[int, Field(ge=1)] = 3
    """Students for each row."""
    labels: Literal["soft", "hard", "both"] = "soft"
    """Learn from the teacher's answers; or from what the set brings itself, its fixed targets or the class; or both."""
    epochs: Annotated[int, Field(ge=1)] | None = None
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
    options, plain = take_options(words)
    sorted_words = split_words("distill", _DISTILL_USAGE, plain, _DISTILL_FLAGS, list(setting_names()))
    own, data = sorted_words.own, sorted_words.target
    if own.get("until", "evaluate") not in STAGES:
        raise ConfigError(f"--until: unknown stage; got {own['until']!r}{did_you_mean(own['until'], STAGES)}")
    base = choose_recipe(data, own.get("recipe")).with_settings(options)
    recipe = parse_settings("wmdd distill DATA", base, sorted_words.rest)
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


def _recipe_of_help(words: Sequence[str]) -> Recipe:
    """Return the recipe whose values the help shall show as defaults."""
    plain = [word for word in words if word not in {"-h", "--help"}]
    named = plain[plain.index("--recipe") + 1] if "--recipe" in plain[:-1] else None
    return choose_recipe(plain[0] if plain else "", named)


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
