"""`wmdd evaluate`: train further students on the set of a run. Parses its words at once and returns what to do."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt

from wmdd.cli.arguments import Action, asks_help, read_flags, require_data, require_folder, show_settings, target_of
from wmdd.cli.render import Screen, show_scores
from wmdd.errors import ConfigError
from wmdd.pipeline.checks import require_students
from wmdd.settings import Section

_USAGE = "`wmdd evaluate RUN --data DATA`"


class EvaluateFlags(Section):
    """Flags of `wmdd evaluate`."""

    data: str | None = None
    """Source of the real images that the set was distilled from; must be given."""
    student: tuple[str, ...] = ("resnet18",)
    """Networks to train; `wmdd list models` names them."""
    protocol: tuple[str, ...] = ("wmdd",)
    """How they are trained; `wmdd list protocols` names them."""
    seeds: PositiveInt = 3
    """Students for each row."""
    labels: Literal["soft", "hard", "both"] = "both"
    """Learn from the teacher's soft labels; or from the set's own labels, its fixed targets or the class; or both."""
    epochs: PositiveInt | None = None
    """Epochs instead of the protocol's own; none = as in the run."""
    device: str | None = None
    """auto = CUDA, else MPS, else CPU; none = as in the run."""
    precision: Literal["auto", "fp32", "bf16"] | None = None
    """Type in which networks compute; none = as in the run."""


def evaluate(words: Sequence[str]) -> Action:
    """`wmdd evaluate RUN --data DATA ...`."""
    if asks_help(words):
        return _help
    run = target_of("evaluate", _USAGE, words)
    flags = read_flags(EvaluateFlags, words[1:])
    data = flags.data
    if data is None:
        raise ConfigError(f"evaluate needs the real images; got no --data; type {_USAGE}")
    require_students(flags.student, flags.protocol)
    more = {"evaluate.epochs": flags.epochs, "device": flags.device, "precision": flags.precision}

    def act() -> int:
        require_folder(run)
        require_data(data)
        from wmdd import api  # noqa: PLC0415 - torch is imported here, once the input is known to be there
        from wmdd.pipeline.run_evaluation import run_folder  # noqa: PLC0415
        from wmdd.pipeline.run_files import read_metrics  # noqa: PLC0415

        with Screen().listening() as screen:
            evaluation = api.evaluate(
                run,
                data,
                students=flags.student,
                protocols=flags.protocol,
                seeds=flags.seeds,
                labels=flags.labels,
                settings={name: value for name, value in more.items() if value is not None},
                watcher=screen,
            )
        metrics = read_metrics(run_folder(Path(run)))
        show_scores({**metrics, "evaluations": [asdict(score) for score in evaluation.scores]})
        return 0

    return act


def _help() -> int:
    text = "Train students on the set of RUN, and on real images as references."
    show_settings("wmdd evaluate RUN --data DATA", EvaluateFlags(), text)
    return 0
