"""A teacher's checkpoint file, checked name by name, shape by shape and value by value against a network."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wmdd.errors import ConfigError
from wmdd.models.building import build_model
from wmdd.models.finite import first_negative_variance, first_nonfinite
from wmdd.models.foreign_facts import class_rows, stated_classes
from wmdd.models.foreign_files import ForeignFile, read_foreign
from wmdd.models.taps import final_classifier
from wmdd.values import ModelSpec

_INNER = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Parts of names that wrappers add anywhere: `torch.compile`, FSDP, activation checkpointing."""
_OUTER = frozenset({"module", "model", "net", "network", "backbone", "encoder", "teacher", "student", "ema"})
"""Parts that stand in front: `DataParallel`, Lightning, and what people call the network in a module of theirs."""
_COUNTERS = frozenset({"n_averaged", "total_ops", "total_params"})
"""Last parts of names that are no weights: of `AveragedModel`, and of profilers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The weights in a file, and what the file says of them."""

    weights: dict[str, Tensor]
    """State dict of the network, in its order and types; the last layer answers in the data's class order."""
    facts: Mapping[str, Any]
    """What stands beside the weights; `foreign_facts` reads it."""
    reordered: bool
    """Whether the rows of the last layer were put into the data's class order."""


def load_checkpoint(
    path: str | Path, spec: ModelSpec, classes: Sequence[str] | None = None, named: Sequence[str] = ()
) -> Checkpoint:
    """Return the checkpoint in `path` as weights of the network of `spec`.

    Reads safetensors, and what `torch.save` wrote, without running code from it. Dictionaries around the weights
    (`state_dict`, `model`, ...) and prefixes of wrappers (`module.`, `_orig_mod.`, `model.`, ...) are taken off,
    however many there are; a missing `num_batches_tracked` is 0; other floating types become the network's.

    Args:
        path: the file.
        spec: the network.
        classes: those of the data; None = do not look at the file's.
        named: the names of the outputs, in their order; empty = as the file says.

    Raises:
        ConfigError: the file cannot be read, or belongs to another network or other classes, or holds NaN, infinity or
            a negative variance.
    """
    path = Path(path)
    file = read_foreign(path)
    with torch.device("meta"):
        model = build_model(spec)
    wanted, head = model.state_dict(), _head(model)
    found = _named_as(path, file.weights, wanted)
    _check_names(path, found, wanted, head, spec)
    _check_shapes(path, found, wanted, head, spec)
    weights = {name: _converted(path, name, found.get(name), like) for name, like in wanted.items()}
    require_sound(f"checkpoint {path}", weights, "train or save it again")
    rows = _rows(path, file, classes, named)
    if rows is not None:
        weights |= {name: weights[name][rows] for name in head if name in weights}
    return Checkpoint(weights=weights, facts=file.facts, reordered=rows is not None)


def require_sound(owner: str, weights: Mapping[str, Tensor], advice: str) -> None:
    """Refuse weights that no training leaves behind.

    Raises:
        ConfigError: there is NaN, infinity or a negative running variance in them; the line names the first tensor.
    """
    name = first_nonfinite(weights)
    if name is not None:
        bad = ~torch.isfinite(weights[name])
        kind = "NaN" if bool(weights[name].isnan().any()) else "infinity"
        raise ConfigError(
            f"{owner} holds {kind} in {name!r}; got {int(bad.sum())} of {bad.numel()} values not finite; {advice}"
        )
    name = first_negative_variance(weights)
    if name is not None:
        raise ConfigError(f"{owner} holds a negative variance in {name!r}; got {weights[name].min():g}; {advice}")


def _head(model: nn.Module) -> tuple[str, str]:
    """Return the names of the last layer's weight and bias."""
    last = final_classifier(model)
    name = next(name for name, module in model.named_modules() if module is last)
    return f"{name}.weight", f"{name}.bias"


def _named_as(path: Path, weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the network's names, without the parts that wrappers add."""
    named: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for key, value in weights.items():
        name = _bare(key, wanted)
        if name in origin and name in wanted and not _same(named[name], value):
            raise ConfigError(
                f"checkpoint {path} has two different tensors for {name!r}; got {origin[name]!r} and {key!r}; save the "
                "state dict of one network"
            )
        named[name], origin[name] = value, key
    return named


def _bare(key: str, wanted: Mapping[str, Tensor]) -> str:
    """Return a name without the parts that wrappers add; no more of them than the network's own names need."""
    parts = key.split(".")
    if key not in wanted:
        parts = [part for part in parts if part not in _INNER]
    while len(parts) > 1 and parts[0] in _OUTER and ".".join(parts) not in wanted:
        parts = parts[1:]
    return ".".join(parts)


def _same(one: Tensor, other: Tensor) -> bool:
    plain = all(value.layout is torch.strided and not value.is_meta for value in (one, other))
    return plain and (one.shape, one.dtype) == (other.shape, other.dtype) and torch.equal(one, other)


def _check_names(
    path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], head: tuple[str, str], spec: ModelSpec
) -> None:
    missing = [name for name in wanted if name not in found and not name.endswith("num_batches_tracked")]
    extra = [name for name in found if name not in wanted and name.rpartition(".")[2] not in _COUNTERS]
    extra = [name for name in extra if name not in {"mean", "std"}]  # facts beside the weights
    if not missing and not extra:
        return
    got = f"got {len(missing)} keys missing{_examples(missing)} and {len(extra)} extra{_examples(extra)}"
    prefix = _common_prefix(missing, extra)
    if prefix:
        advice = f"its names begin with {prefix!r}: save the state dict without it"
    elif missing and set(missing) <= set(head):
        advice = "it lacks this network's last layer: give the checkpoint of a whole classifier"
    else:
        advice = "set squeeze.arch and squeeze.stem"
    raise ConfigError(f"checkpoint {path} is not a {spec.arch} with the {spec.stem} stem; {got}; {advice}")


def _common_prefix(missing: Sequence[str], extra: Sequence[str]) -> str:
    """Return what stands before all missing names among the extra ones; empty if there is nothing such."""
    if not missing:
        return ""
    known = set(extra)
    fronts = (name.removesuffix(missing[0]) for name in extra if name.endswith("." + missing[0]))
    return next((front for front in fronts if all(front + name in known for name in missing)), "")


def _check_shapes(
    path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], head: tuple[str, str], spec: ModelSpec
) -> None:
    wrong = [name for name in wanted if name in found and found[name].shape != wanted[name].shape]
    if not wrong:
        return
    if set(wrong) <= set(head) and found[head[0]].ndim == 2 and len(found[head[0]]) != spec.num_classes:
        raise ConfigError(
            f"checkpoint has {len(found[head[0]])} classes, the data have {spec.num_classes}; got {path}; "
            "use a teacher of the same classes"
        )
    shapes = _examples(
        wrong, lambda name: f" of shape {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
    )
    kind = f"{spec.arch} ({spec.channels} channels, {spec.image_size} pixels, {spec.stem} stem)"
    other = _fitting_stem(found, spec)
    advice = (
        f"it fits the other stem: set squeeze.stem to {other}"
        if other
        else "set squeeze.arch, squeeze.stem, data.channels or data.image_size"
    )
    raise ConfigError(f"checkpoint {path} is not this {kind}; got{shapes.removeprefix(':')}; {advice}")


def _fitting_stem(found: Mapping[str, Tensor], spec: ModelSpec) -> str | None:
    """Return the other stem if all shapes fit it."""
    other = replace(spec, stem="small" if spec.stem == "imagenet" else "imagenet")
    with torch.device("meta"):
        wanted = build_model(other).state_dict()
    fits = all(name not in found or found[name].shape == value.shape for name, value in wanted.items())
    return other.stem if fits else None


def _examples(names: Sequence[str], tell: Callable[[str], str] = lambda _: "") -> str:
    listed = ", ".join(f"{name!r}{tell(name)}" for name in names[:3])
    return f": {listed}{', ...' if len(names) > 3 else ''}" if names else ""


def _converted(path: Path, name: str, value: Tensor | None, like: Tensor) -> Tensor:
    """Return a tensor of the file as a plain one of the network's type, with memory of its own."""
    if value is None:
        return torch.zeros(like.shape, dtype=like.dtype)  # num_batches_tracked
    kinds: Iterable[tuple[bool, str]] = (
        (value.is_meta, "has no values (meta device)"),
        (type(value) not in (Tensor, nn.Parameter, nn.Buffer), f"is a {type(value).__name__}"),
        (value.is_quantized, f"is quantised ({value.dtype})"),
        (value.layout is not torch.strided, f"is sparse ({value.layout})"),
        (value.is_complex(), f"is complex ({value.dtype})"),
        (like.is_floating_point() and not value.is_floating_point(), f"holds integers ({value.dtype})"),
    )
    wrong = next((words for applies, words in kinds if applies), None)
    if wrong is not None:
        raise ConfigError(
            f"checkpoint {path} has no plain weights; got {name!r}, which {wrong}; save them as dense float tensors"
        )
    return value.detach().to(like.dtype, copy=True, memory_format=torch.contiguous_format)


def _rows(path: Path, file: ForeignFile, classes: Sequence[str] | None, named: Sequence[str]) -> list[int] | None:
    """Return the order in which the last layer's rows are those of the data's classes; None = as they are."""
    names = named or stated_classes(file.facts)
    if classes is None or not names:
        return None
    rows = class_rows(f"checkpoint {path}", names, classes)
    return None if rows == list(range(len(rows))) else rows
