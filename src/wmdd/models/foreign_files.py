"""Where the bytes of a checkpoint file become tensors by name and facts beside them: wholly, or not at all.

What a file is, its first bytes say, not its name. `torch.save`'s archives have a checksum for each member, which
`torch.load` does not look at; here they are verified.
"""

import argparse
import json
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from wmdd.errors import ConfigError

WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "net",
    "network",
    "weights",
)
"""Entries that hold the weights, in the order of preference; a moving average comes first, as in timm."""
_OTHER_FILES = {
    b"version https://git-lfs": "a Git LFS pointer; fetch the file itself with git lfs pull",
    b"<": "a web page or XML; download the file itself",
    b"\x89HDF": "an HDF5 file; save a PyTorch state dict",
}
_CHUNK = 1 << 20
_DEEPEST = 8
"""Dictionaries around the weights; a damaged file may nest without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignFile:
    """What a checkpoint file holds."""

    weights: Mapping[str, Tensor]
    """Tensors under the names in the file."""
    facts: Mapping[str, Any]
    """Entries beside the weights, unchecked."""


def read_foreign(path: Path) -> ForeignFile:
    """Return the tensors and facts in a file of `torch.save` or safetensors, without running code from it.

    Raises:
        ConfigError: the file is missing, damaged, of another kind, or holds no tensors by name.
    """
    start = _start(path)
    try:
        if start[8:9] == b"{":
            weights, facts = _read_safetensors(path)
            return ForeignFile(weights=weights, facts=facts)
        if start.startswith(b"PK"):
            _verify_archive(path)
        content = _load(path)
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged bytes make the readers fail with every kind of error
        raise ConfigError(
            f"checkpoint cannot be read; got {path} ({_reason(error)}); save a plain state dict with torch.save or "
            "safetensors"
        ) from None
    return _unwrap(path, content)


def _start(path: Path) -> bytes:
    """Return the first bytes of a file that may be a checkpoint."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError:
        raise ConfigError(f"checkpoint not found; got {path}; give the path of a state dict") from None
    except (OSError, ValueError) as error:
        got = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(f"checkpoint cannot be read; got {path} ({got}); give the path of a state dict") from None
    kind = next((kind for magic, kind in _OTHER_FILES.items() if start.lstrip().startswith(magic)), None)
    if kind is not None:
        raise ConfigError(f"checkpoint cannot be read; got {path}, {kind}")
    return start


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as file:
        facts = {name: _json_or_text(value) for name, value in (file.metadata() or {}).items()}
    return safetensors.torch.load_file(path), facts


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _verify_archive(path: Path) -> None:
    """Refuse TorchScript, and an archive of which a member does not have its checksum.

    Where all of them fail, the file was saved without checksums (`torch.serialization.set_crc32_options`).
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in names):
            raise ConfigError(
                f"checkpoint is a TorchScript archive; got {path}; save model.state_dict() with torch.save"
            )
        failed = [name for name in names if not _intact(archive, name)]
    if failed and len(failed) < len(names):
        raise ConfigError(f"checkpoint is damaged; got {path}, whose {failed[0]!r} fails its checksum; copy it again")


def _intact(archive: zipfile.ZipFile, name: str) -> bool:
    with archive.open(name) as member:
        try:
            while member.read(_CHUNK):
                pass
        except zipfile.BadZipFile:
            return False
    return True


def _load(path: Path) -> Any:
    # timm's training script keeps its arguments in a namespace.
    safe = torch.serialization.safe_globals([argparse.Namespace])
    # An open file, because torch.load goes by the suffix of a name.
    with safe, warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")  # about the format of old files, which is read all the same
        return torch.load(file, map_location="cpu", weights_only=True)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "Weights only load failed" in text:
        return "it holds Python objects, such as a whole module, whose code is not run: save model.state_dict()"
    return type(error).__name__


def _unwrap(path: Path, content: Any) -> ForeignFile:
    """Take the dictionaries around the weights off, until entries are tensors; what stood beside them are facts."""
    facts: dict[str, Any] = {}
    for _ in range(_DEEPEST):
        known = WRAPPERS if isinstance(content, Mapping) else ()
        inner = next((key for key in known if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        facts = {**{key: value for key, value in content.items() if key != inner}, **facts}
        content = content[inner]
    if not isinstance(content, Mapping):
        got = type(content).__name__
        raise ConfigError(f"checkpoint is no state dict; got {path} holding a {got}; save model.state_dict()")
    named = [key for key in content if not isinstance(key, str)]
    weights = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if named or not weights:
        got = f"the key {str(named[0])[:40]!r}" if named else _few(content) or "no entries"
        raise ConfigError(f"checkpoint is no state dict; got {path} with {got}; save model.state_dict()")
    return ForeignFile(weights=weights, facts={**content, **facts})


def _few(names: Iterable[Any]) -> str:
    listed = [repr(name) for name in names]
    return ", ".join(listed[:3]) + (", ..." if len(listed) > 3 else "")
