"""The stage results of a run, found by what they hold and read when asked for."""

from pathlib import Path
from typing import Any, TypeVar

from wmdd.artifacts.folder import ResultFolder
from wmdd.artifacts.parsing import read_as
from wmdd.errors import ArtifactError
from wmdd.pipeline.run_files import RUN_ADVICE, RUN_FILE, RunFile
from wmdd.values import DistilledSet, Teacher

Record = TypeVar("Record")


def read_result(run: Path, kind: type[Record], what: str) -> Record:
    """Return the first record of type `kind` among the results of the run in folder `run`: the run's own.

    Every file is compared with its check sum before it is read; features and soft labels are read as they are used.

    Args:
        run: the run's folder.
        kind: type of the record.
        what: the record in words, for the message.

    Raises:
        ArtifactError: it is no run; or the run has no such record, or not yet; or it is gone or damaged.
    """
    record = run_record(run)
    roles: dict[type[Any], tuple[str, ...] | None] = {Teacher: record.teachers, DistilledSet: record.sets}
    folders = [
        *(roles.get(kind) or ())[:1],
        *(entry.folder for entry in record.results if entry.record == kind.__name__),
    ]
    if not folders:
        stages = ", ".join(dict.fromkeys(entry.stage for entry in record.results)) or "no stages"
        raise ArtifactError(
            f"the run has no {what}; got {run} with {stages}; its method makes none, or it has not come so far: "
            f"{RUN_ADVICE}"
        )
    folder = ResultFolder(path=Path(record.store) / folders[0])
    if not folder.finished:
        raise ArtifactError(f"the run's {what} is gone; got no {folder.path}; {RUN_ADVICE}")
    return folder.read(kind)


def run_record(run: Path) -> RunFile:
    """Return the contents of `run.json`; raises `ArtifactError` if the folder is not that of a run."""
    if not (run / RUN_FILE).is_file():
        raise ArtifactError(f"not the folder of a run; got {run}; give the --out of `wmdd distill`")
    return read_as(RunFile, run / RUN_FILE, advice=RUN_ADVICE)
