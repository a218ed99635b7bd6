"""Files that are written whole or not at all; every failure is one line. Free of torch: tensors are in `tensors`."""

import json
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from platform import node
from typing import Any

from wmdd.errors import ArtifactError

_LEFTOVER = re.compile(rf".+\.{re.escape(node())}\.([1-9]\d*)\.tmp")
"""What a process of this machine writes to; whether one of another machine still runs is not known here."""


@contextmanager
def writing(
    path: Path, *, advice: str = "make room or choose another --out and --store, then run again"
) -> Generator[None]:
    """Turn any failure to write `path` (disk full, no permission, something in the way) into one line.

    Raises:
        ArtifactError: writing failed; the line ends in `advice`.
    """
    try:
        yield
    except ArtifactError:
        raise
    except OSError as error:
        # Arrow's errors have no number, and the reason in their text.
        reason = error.strerror or " ".join(str(error).split())[:200] or type(error).__name__
        raise ArtifactError(f"cannot write {path}; got {reason}; {advice}") from error


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield the name of a neighbour to write to, then rename it to `path`; a failure leaves nothing behind."""
    temporary = path.with_name(f"{path.name}.{node()}.{os.getpid()}.tmp")
    with writing(path):
        try:
            yield temporary
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def remove_leftovers(folder: Path) -> None:
    """Remove what dead processes of this machine were writing in `folder` with `replacing`; raises as `writing`."""
    with writing(folder):
        for path in folder.glob("*.tmp"):
            writer = _LEFTOVER.fullmatch(path.name)
            if writer is not None and not _runs(int(writer[1])):
                path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def make_folder(path: Path) -> None:
    """Make a folder and its parents where they do not exist; raises what `writing` raises."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def append_text(path: Path, text: str) -> None:
    """Append `text` to a file, possibly only in part if the process is killed; raises what `writing` raises."""
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(text)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` in one step: to a neighbour first, then renamed.

    The file is whole after a kill; `fsync_folder` makes it outlive a power cut too.

    Raises:
        ArtifactError: the disk is full or not writable; the old content of `path` is untouched.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(data)


def link_or_copy(source: Path, path: Path) -> None:
    """Give a file a second name, or a copy where the file system has no links, or not between the two places.

    Only for files that are replaced, never changed. Raises what `writing` raises.
    """
    with writing(path):
        try:
            path.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, path)


def fsync_folder(folder: Path) -> None:
    """Wait until the files of a folder have reached the disk itself; raises what `writing` raises."""
    with writing(folder):
        for path in sorted(folder.iterdir()):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())
