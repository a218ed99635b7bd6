"""A folder that is written whole or not at all, names of classes as names of folders, and forms of export."""

import re
import shutil
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from wmdd.errors import ConfigError

ExportFormat = Literal["imagefolder", "parquet", "safetensors"]
"""Forms of a set for other programs: see `writing.export_set`."""

_NAME_BYTES = 120
"""File systems allow 255 bytes; some programs put a path of several names into as many."""
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def in_use(folder: Path) -> bool:
    """Tell whether there is anything but an empty folder."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def require_unused(to: Path) -> None:
    """Refuse to export to anything but a new or empty folder; raises `ConfigError`."""
    if in_use(to):
        raise ConfigError(f"{to}: export writes to a new or empty folder; got one in use; choose another --to")


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a folder beside `folder`, then put it in place of `folder`, links followed.

    Whatever fails, and whenever the process is killed, `folder` is as it was or as it should be, and the next call
    removes what is left beside it.
    """
    folder = folder.resolve()
    work, old = (folder.with_name(f".{folder.name}.{role}") for role in ("writing", "old"))
    if old.exists() and not folder.exists():  # the process was killed between the two renames below
        old.rename(folder)
    for leftover in (work, old):
        _remove(leftover)
    work.mkdir(parents=True)
    try:
        write(work)
        if folder.exists():
            folder.rename(old)
        work.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        _remove(work)
        raise
    _remove(old)


def folder_names(classes: Sequence[str]) -> list[str]:
    """Return a folder name for each class: safe on every file system, different on all, in alphabetical order."""
    names = [_safe(name) for name in classes]
    alike = {unicodedata.normalize("NFC", name).casefold() for name in names}
    if sorted(names) == names and len(alike) == len(names) and not any(map(_RESERVED.fullmatch, names)):
        return names
    digits = len(str(len(names) - 1))
    return [f"{label:0{digits}d}_{name}" for label, name in enumerate(names)]


def _safe(name: str) -> str:
    plain = _UNSAFE.sub("_", name).strip(" .")
    return plain.encode()[:_NAME_BYTES].decode(errors="ignore").rstrip(" .") or "class"


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)
