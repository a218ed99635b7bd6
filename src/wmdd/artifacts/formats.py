"""Record ↔ files: tensors as safetensors, everything else as JSON, each with a format version. No pickle.

A record is stored as `record.json` (plain fields) and `tensors.safetensors`. Three kinds of content get too large for
that and have files of their own: the features and the experts' parameters, which their stages wrote in place, and the
soft labels, one file per epoch: the very file that the relabel stage saved as a unit of work.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from wmdd.artifacts.files import read_json, write_json
from wmdd.artifacts.tensors import mapped_tensor, read_tensors, write_tensors
from wmdd.errors import ArtifactError
from wmdd.values import ClassStatistics, EpochLabels, LazyEpochs, ModelSpec, Score, SoftLabels, Trajectories
from wmdd.values.labels import epoch_name

FORMAT = 1
Record = TypeVar("Record")
MAPPED: dict[type, str] = {ClassStatistics: "features", Trajectories: "parameters"}
"""Fields that stages write in place, into `NAME.safetensors`."""

_REVIVE: dict[str, Callable[[Any], Any]] = {
    "spec": lambda value: ModelSpec(**value),
    "scores": lambda value: tuple(Score(**score) for score in value),
}


def write_record(record: Any, folder: Path, *, units: Path | None = None) -> None:
    """Write a record of `wmdd.values` into `folder`.

    Units of work saved in the folder `units` that are files of the record are moved, not written again.
    """
    plain: dict[str, Any] = {"type": type(record).__name__, "format": FORMAT}
    tensors: dict[str, Tensor] = {}
    for field in fields(record):
        _pack(field.name, getattr(record, field.name), plain, tensors)
    mapped = MAPPED.get(type(record))
    if mapped is not None:
        values = tensors.pop(mapped)
        stored = mapped_tensor(folder / f"{mapped}.safetensors", mapped, tuple(values.shape))
        if stored.data_ptr() != values.data_ptr() and not stored.equal(values):
            stored.copy_(values)
        plain[mapped] = list(values.shape)
    if isinstance(record, SoftLabels):
        plain["epochs"] = len(record.epochs)
        for number in range(len(record.epochs)):
            _write_epoch(record, number, folder, units)
    write_tensors(folder / "tensors.safetensors", tensors, {})
    write_json(folder / "record.json", plain)


def read_record(kind: type[Record], folder: Path) -> Record:
    """Read a record of type `kind` from `folder`.

    Raises:
        ArtifactError: the folder holds another type or format, or damaged files.
    """
    plain = read_json(folder / "record.json")
    if not isinstance(plain, dict) or plain.pop("type", None) != kind.__name__ or plain.pop("format", None) != FORMAT:
        raise ArtifactError(f"{folder} holds no {kind.__name__} of format {FORMAT}; remove it and run again")
    tensors, _ = read_tensors(folder / "tensors.safetensors")
    values: dict[str, Any] = {name: _REVIVE.get(name, _tuples)(value) for name, value in plain.items()}
    for name, tensor in tensors.items():
        field, slash, key = name.partition("/")
        if slash:
            values.setdefault(field, {})[key] = tensor
        else:
            values[field] = tensor
    mapped = MAPPED.get(kind)
    if mapped is not None:
        values[mapped] = mapped_tensor(folder / f"{mapped}.safetensors", mapped, values[mapped], make=False)
    if kind is SoftLabels:
        values["epochs"] = LazyEpochs(
            values["epochs"],
            lambda number: EpochLabels.of(read_tensors(folder / f"{epoch_name(number)}.safetensors")[0]),
        )
    return kind(**values)


def take_back(folder: Path, units: Path) -> None:
    """Undo the moves of a `write_record` that was killed, so that the stage finds its units of work again."""
    for path in folder.glob("epoch-*.safetensors"):
        path.replace(units / path.name)


def _write_epoch(record: SoftLabels, number: int, folder: Path, units: Path | None) -> None:
    name = f"{epoch_name(number)}.safetensors"
    if units is not None and (units / name).exists():
        (units / name).replace(folder / name)
    else:
        write_tensors(folder / name, record.epochs[number].tensors(), {})


def _pack(name: str, value: Any, plain: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    if isinstance(value, Tensor):
        tensors[name] = value
    elif isinstance(value, Mapping):
        tensors.update({f"{name}/{key}": tensor for key, tensor in value.items()})
    elif is_dataclass(value) and not isinstance(value, type):
        plain[name] = asdict(value)
    elif isinstance(value, LazyEpochs):
        plain[name] = len(value)
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        plain[name] = [asdict(part) for part in value]
    else:
        plain[name] = value


def _tuples(value: Any) -> Any:
    """Return JSON lists as the tuples that records hold."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
