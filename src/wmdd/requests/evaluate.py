"""`wmdd evaluate` and `wmdd.evaluate`: the students that are asked for; what is not said is as in the run."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import PositiveInt

from wmdd.errors import ConfigError, did_you_mean
from wmdd.methods.catalogue import complete, known_settings, read_recipe
from wmdd.models.names import check_name
from wmdd.pipeline.checks import evaluated_stage_names, require_fresh, require_students
from wmdd.pipeline.run_files import RECIPE_FILE, RUN_FILE
from wmdd.requests.given import Flags, Given, require_data, require_folder, require_target, sort_given
from wmdd.settings import Recipe
from wmdd.settings.recipe import dotted, nested, setting_names

_SECTIONS = ("evaluate.", "relabel.", "data.", "device", "precision", "threads", "save_every")


class EvaluateFlags(Flags):
    """Flags of `wmdd evaluate`."""

    command: ClassVar[str] = "evaluate"
    usage: ClassVar[str] = "`wmdd evaluate RUN --data DATA`"
    shorthands: ClassVar[Mapping[str, str]] = {
        **{name: f"evaluate.{name}" for name in ("students", "protocols", "seeds", "labels", "epochs")},
        **{name: name for name in ("device", "precision")},
    }
    spellings: ClassVar[Mapping[str, str]] = {"student": "students", "protocol": "protocols"}
    unread: ClassVar[frozenset[str]] = frozenset({"data.image_size", "data.channels", "evaluate.full_data"})
    """Settings of its sections that are those of the set, or of the run."""

    data: str | None = None
    """Source of the real images that the set was distilled from; must be given."""
    students: tuple[str, ...] | None = None
    """Networks to train; `wmdd list models` names them; none = as in the run."""
    protocols: tuple[str, ...] | None = None
    """How they are trained; `wmdd list protocols` names them; none = as in the run."""
    seeds: PositiveInt | None = None
    """Students for each row; none = as in the run."""
    labels: Literal["soft", "hard", "both"] | None = None
    """Learn from the teacher's soft labels; or from the set's own labels, its fixed targets or the class; or both;
    none = as in the run."""
    epochs: PositiveInt | None = None
    """Epochs instead of the protocol's own; none = as in the run."""
    device: str | None = None
    """auto = CUDA, else MPS, else CPU; none = as in the run."""
    precision: Literal["auto", "fp32", "bf16"] | None = None
    """Type in which networks compute; none = as in the run."""
    fresh: str | None = None
    """Make the results of this stage anew, although they are there; what rests on them follows if they came out
    otherwise. Each takes the old one's place once it is finished."""


Asked = TypeVar("Asked", bound=EvaluateFlags)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRequest:
    """Further students of a run."""

    run: Path
    """Its folder."""
    data: str
    changes: dict[str, Any]
    """Settings, by dotted name, that replace those of the run; all others are the run's."""
    fresh: str | None = None
    """Stage whose results are made anew; None = none."""

    def require_inputs(self, *stages: str) -> None:
        """Refuse a run or data that are not there, and a stage to be made anew that there is not.

        Args:
            *stages: those of the command beside those of an evaluation.

        Raises:
            WmddError: one is missing.
        """
        require_folder(self.run)
        if self.fresh is not None and (self.run / RECIPE_FILE).is_file():
            recipe = complete(read_recipe(self.run / RECIPE_FILE)).with_settings(self.changes)
            teaches = "relabel.teachers" in self.changes
            require_fresh(self.fresh, (*evaluated_stage_names(recipe, teaches=teaches), *stages))
        require_data(self.data)


def evaluate_request(run: str | Path, given: Given) -> EvaluateRequest:
    """Return the students that are asked for.

    Args:
        run: folder of a run, or of the set in it.
        given: flags and settings, which replace those of the run.

    Raises:
        ConfigError: a name is unknown, or a value does not fit, or there are no data.
    """
    return students_asked(EvaluateFlags, run, given)[1]


def students_asked(kind: type[Asked], run: str | Path, given: Given) -> tuple[Asked, EvaluateRequest]:
    """Return the flags of a command that trains further students of a run, and these students."""
    path = Path(require_target(kind, run))
    flags, settings = sort_given(kind, given)
    if flags.data is None:
        raise ConfigError(f"{kind.command} needs the real images; got no --data; type {kind.usage}")
    require_evaluated(settings, kind)
    values = dotted(Recipe(**nested(settings)).model_dump())
    changes = {name: values[name] for name in sorted(settings)}
    require_students(changes.get("evaluate.students", ()), changes.get("evaluate.protocols", ()))
    for arch in changes.get("relabel.teachers", ()):
        check_name(arch)
    return flags, EvaluateRequest(run=_run_folder(path), data=flags.data, changes=changes, fresh=flags.fresh)


def evaluated_settings(kind: type[EvaluateFlags] = EvaluateFlags) -> dict[str, Any]:
    """Return the settings that a command reads, with their types: the set and its teachers are there already."""
    return {
        name: each
        for name, each in setting_names(Recipe).items()
        if name.startswith(_SECTIONS) and name not in kind.unread
    }


def require_evaluated(names: Iterable[str], kind: type[EvaluateFlags] = EvaluateFlags) -> None:
    """Refuse settings that a command does not read.

    Raises:
        ConfigError: one is unknown, or belongs to the distillation.
    """
    read = evaluated_settings(kind)
    for name in names:
        if name in read:
            continue
        if name in known_settings():
            raise ConfigError(
                f"{name}: {kind.command} does not read it, since the set is there already; leave it out, or set what "
                "is read: evaluate.*, relabel.*, data.*, device, precision"
            )
        known, help_of = [*kind.model_fields, *read], f"see `wmdd {kind.command} --help`"
        raise ConfigError(f"{name}: unknown setting{did_you_mean(name, known, otherwise=help_of)}")


def _run_folder(path: Path) -> Path:
    """Return the folder of a run, given that folder or the set in it, called `distilled`; any other path as it is."""
    if os.path.basename(os.path.abspath(path)) != "distilled" or os.path.isfile(path / RUN_FILE):
        return path
    return path.parent if path.name == "distilled" else path / ".."  # the latter for `.`
