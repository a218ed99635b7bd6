"""Record ↔ files: tensors as safetensors, everything else as JSON, each with a format version. No pickle.

A record is stored as `record.json` (plain fields) and `tensors.safetensors`. Four kinds of content get too large for
that and have files of their own: the features, the experts' parameters and the answers in training, which their stages
wrote in place, and the soft labels, one file per epoch: the very file that the relabel stage saved as a unit of work.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, field, fields, is_dataclass, make_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from pydantic import NonNegativeInt
from torch import Tensor

from wmdd.artifacts.files import write_json
from wmdd.artifacts.parsing import read_as
from wmdd.artifacts.sums import damaged
from wmdd.artifacts.tensors import map_tensors, mapped_tensor, write_tensors
from wmdd.data.drawing import draw_again, labels_of, stored_tensors
from wmdd.mapped import row_blocks, taken
from wmdd.values import (
    ClassFeatures,
    ClassStatistics,
    DrawnViews,
    EpochLabels,
    LazyEpochs,
    SoftLabels,
    TrainingDynamics,
    Trajectories,
)
from wmdd.values.labels import epoch_name

FORMAT = 1
Record = TypeVar("Record")
MAPPED: dict[type, str] = {
    ClassStatistics: "features",
    ClassFeatures: "features",
    Trajectories: "parameters",
    TrainingDynamics: "answers",
}
"""Fields that stages write in place, into `NAME.safetensors`."""


def write_record(record: Any, folder: Path, *, units: Path | None = None) -> None:
    """Write a record of `wmdd.values` into `folder`.

    Units of work saved in the folder `units` that are files of the record are moved, not written again.
    """
    plain: dict[str, Any] = {"type": type(record).__name__, "format": FORMAT}
    tensors: dict[str, Tensor] = {}
    for part in fields(record):
        _pack(part.name, getattr(record, part.name), plain, tensors)
    mapped = MAPPED.get(type(record))
    if mapped is not None:
        values = tensors.pop(mapped)
        stored = mapped_tensor(folder / f"{mapped}.safetensors", mapped, tuple(values.shape))
        for rows in row_blocks(stored):
            if not stored[rows].equal(part := taken(values, rows)):  # made elsewhere, not in place
                stored[rows] = part
        plain[mapped] = list(values.shape)
    if isinstance(record, SoftLabels):
        plain["epochs"] = len(record.epochs)
        for number in range(len(record.epochs) if record.has_files else 0):
            _write_epoch(record, number, folder, units)
    write_tensors(folder / "tensors.safetensors", tensors, {})
    write_json(folder / "record.json", plain)


def read_record(kind: type[Record], folder: Path, *, check: Callable[[Path], None] = lambda _: None) -> Record:
    """Read a record of type `kind` from `folder`; every file of it is given to `check` before it is opened.

    Raises:
        ArtifactError: the folder holds another type or format, or damaged files; and what `check` raises.
    """

    def tensors_of(name: str) -> dict[str, Tensor]:
        path = folder / f"{name}.safetensors"
        check(path)
        return map_tensors(path)

    check(folder / "record.json")
    plain = read_as(_plain_fields(kind), folder / "record.json", advice=f"remove {folder} and run again")
    values = {part.name: getattr(plain, part.name) for part in fields(plain) if part.name not in {"type", "format"}}
    for name, tensor in tensors_of("tensors").items():
        whole, slash, key = name.partition("/")
        if slash:
            values.setdefault(whole, {})[key] = tensor
        else:
            values[whole] = tensor
    mapped = MAPPED.get(kind)
    if mapped is not None:
        check(folder / f"{mapped}.safetensors")
        values[mapped] = mapped_tensor(folder / f"{mapped}.safetensors", mapped, tuple(values[mapped]), make=False)
    if kind is SoftLabels:
        values["epochs"] = _epochs(values, folder, tensors_of)
    try:
        return kind(**values)
    except TypeError as error:  # tensors of other names
        raise damaged(folder / "tensors.safetensors", str(error)) from None


def take_back(folder: Path, units: Path) -> None:
    """Undo the moves of a `write_record` that was killed, so that the stage finds its units of work again."""
    for path in folder.glob("epoch-*.safetensors"):
        path.replace(units / path.name)


def _write_epoch(record: SoftLabels, number: int, folder: Path, units: Path | None) -> None:
    name = f"{epoch_name(number)}.safetensors"
    if units is not None and (units / name).exists():
        (units / name).replace(folder / name)
    else:
        write_tensors(folder / name, stored_tensors(record.epochs[number], redrawn=record.redrawn), {})


def _epochs(values: Mapping[str, Any], folder: Path, tensors_of: Callable[[str], dict[str, Tensor]]) -> LazyEpochs:
    """Return the epochs of the soft labels with these fields; `tensors_of` reads a file by its name."""
    drawn: DrawnViews | None = values["drawn"]
    images, batch, redrawn = len(values["plain"]), values["batch"], values["redrawn"]

    def file(number: int) -> Path:
        return folder / f"{epoch_name(number)}.safetensors"

    def read(number: int) -> EpochLabels:
        views = draw_again(drawn, number, count=images, batch=batch) if redrawn and drawn is not None else None
        if views is not None and values["store"] == "online":
            return EpochLabels(views=views, logits=None)
        try:
            return labels_of(tensors_of(epoch_name(number)), views)
        except KeyError as error:
            raise damaged(file(number), f"no {error}") from None

    return LazyEpochs(values["epochs"], read, file=file)


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


@cache
def _plain_fields(kind: type) -> type:
    """Return the type of what `record.json` holds of a record: its fields but the tensors."""
    shape: list[Any] = [("type", Literal[kind.__name__]), ("format", Literal[FORMAT])]
    hints = get_type_hints(kind)
    for part in fields(kind):
        hint = hints[part.name]
        if kind is SoftLabels and part.name == "epochs":
            shape.append((part.name, NonNegativeInt))
        elif part.name == MAPPED.get(kind):
            shape.append((part.name, tuple[NonNegativeInt, ...]))
        elif Tensor not in (hint, *get_args(hint)):
            default = field(default=part.default, default_factory=part.default_factory)  # pyright: ignore
            shape.append((part.name, hint, default))
    return make_dataclass(kind.__name__, shape, kw_only=True)
