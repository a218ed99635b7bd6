"""A pretended CUDA device: a stage runs as if on a GPU, on real values, and what a GPU would make it wait for is noted.

`FakeTensorMode` knows no values and, without a GPU, no backward pass. Here tensors "on CUDA" are wrappers around
tensors on the CPU: every operation is carried out on these, so that losses, gradients and results are those of the CPU.
Autograd takes the wrappers for tensors on PyTorch's `meta` device, the only one beside the CPU whose backward pass
needs no hardware; Python code is told `cuda:0`. Operations that a GPU would refuse are refused:

- tensors of both devices in one operation, unless one of them is a scalar where PyTorch lets it;
- random numbers for CUDA from a generator of the CPU; `.numpy()` of a tensor on CUDA.

`waits` counts, by the place in the package that asked, what makes the CPU wait for the GPU:

- values that are read (`.item()`, `float`, `bool`, `.tolist()`, `.cpu()`), and operations whose shape depends on them;
- copies to the device that block: `.to(device)` without `non_blocking=True`, `torch.tensor(..., device=...)`, and
  tensors of the CPU as indices of one on CUDA;
- checks of a solver's outcome (`torch.linalg.solve` and the like).

Networks compute in fp32 whatever the precision is: autocast looks at devices that it knows. Only the thread that
entered `fake_cuda` may touch its tensors; others, which solve classes, should be given tensors on the CPU.
"""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

CUDA = torch.device("cuda:0")
_STANDS_FOR_CUDA = torch.device("meta")
_TESTS = str(Path(__file__).parent)
_PACKAGE = f"{Path('src', 'wmdd')}"

_aten = torch.ops.aten
_READS = {
    _aten._local_scalar_dense,
    _aten.equal,
    _aten.allclose,
    _aten._linalg_check_errors,
    _aten._linalg_eigh,
    _aten._linalg_svd,
    _aten.linalg_lstsq,
}
_SHAPED_BY_VALUES = {
    _aten.nonzero,
    _aten.masked_select,
    _aten.bincount,
    _aten.unique_dim,
    _aten._unique2,
    _aten.unique_consecutive,
    _aten.repeat_interleave,
}
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_, _aten._unsafe_index}
_MOVES = {_aten._to_copy, _aten.copy_}
_NO_SCALARS_OF_CPU = {_aten.cat, _aten.stack, _aten.gather, _aten.index_select}


class CudaTensor(Tensor):
    """A tensor that says it is on CUDA; `held`, on the CPU, has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls: type["CudaTensor"], held: Tensor) -> "CudaTensor":
        wrapper = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=_STANDS_FOR_CUDA,
        )
        wrapper.held = held
        return wrapper

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self, **_: Any) -> str:
        return f"CudaTensor({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types, args, kwargs
        raise RuntimeError(f"{func} on a tensor of the fake device, outside of `fake_cuda` or in another thread")


class WrongDeviceError(RuntimeError):
    """What a GPU would refuse."""


class Waits:
    """Where the CPU waited for the device: place `MODULE:FUNCTION` → how often, and how."""

    def __init__(self) -> None:
        self.places: Counter[str] = Counter()
        self.traces: dict[str, tuple[str, ...]] = {}
        self.inside: Counter[tuple[str, str]] = Counter()

    def note(self, what: str) -> None:
        """Count a wait, at the innermost function of the package or of the tests that is being run."""
        chain = tuple(_places())
        place = chain[0] if chain else "?"
        self.places[place] += 1
        self.traces.setdefault(place, (what, *chain))
        self.inside.update((outer, place) for outer in set(chain))

    def within(self, *functions: str) -> dict[str, int]:
        """Return the waits that happened while one of some functions was being run, by place."""
        found: Counter[str] = Counter()
        for (outer, place), count in self.inside.items():
            if outer in functions:
                found[place] += count
        return dict(found)


def _places() -> Iterator[str]:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file, name = frame.f_code.co_filename, re.sub(r"\.<\w+>", "", frame.f_code.co_qualname)
        if f"/{_PACKAGE}/" in file:
            yield f"{file.split(f'/{_PACKAGE}/')[1].removesuffix('.py')}:{name}"
        elif file.startswith(_TESTS) and file != __file__:
            yield f"tests/{Path(file).stem}:{name}"
        frame = frame.f_back


class _Operations(TorchDispatchMode):
    """Carries every operation out on what the tensors hold, and looks at where they say they are."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        kwargs = dict(kwargs or {})
        leaves = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        given = any(isinstance(each, CudaTensor) for each in leaves)
        devices = [each for each in (*args, *kwargs.values()) if isinstance(each, torch.device)]
        if not given and _STANDS_FOR_CUDA not in devices:
            return func(*args, **kwargs)
        with self:  # in inference mode, operations that are made of others come whole
            made_of_others = func.decompose(*args, **kwargs)
        if made_of_others is not NotImplemented:
            return made_of_others
        target = kwargs.get("device")
        on_cuda = given if target is None else target.type == _STANDS_FOR_CUDA.type
        self._look(func, args, kwargs, leaves, on_cuda)
        if target is not None:
            kwargs["device"] = torch.device("cpu")
        plain_args, plain_kwargs = tree_map_only(CudaTensor, lambda each: each.held, (args, kwargs))
        found = func(*plain_args, **plain_kwargs)
        return _result(func, args, kwargs, found, on_cuda)

    def _look(
        self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], leaves: list[Tensor], cuda: bool
    ) -> None:
        """Refuse what a GPU would, and note what it would wait for."""
        packet = func.overloadpacket
        if packet in _MOVES:
            source = args[1] if packet is _aten.copy_ else args[0]
            to_cuda = isinstance(args[0], CudaTensor) if packet is _aten.copy_ else cuda
            blocking = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
            if isinstance(source, CudaTensor) != to_cuda and (blocking or not to_cuda):
                self.waits.note("copied to the device, blocking" if to_cuda else "copied to the CPU")
            return
        if kwargs.get("generator") is not None and cuda:
            raise WrongDeviceError(f"{func}: a generator of the CPU for a tensor on CUDA")
        if packet in _READS | _SHAPED_BY_VALUES:
            self.waits.note(f"{func}: values are read")
        if packet in _INDEXING:
            self._look_at_indices(func, args)
            leaves = [args[0], *(each for each in args[2:3] if isinstance(each, Tensor))]
        scalars = 0 if packet not in _NO_SCALARS_OF_CPU else -1
        strangers = [each for each in leaves if not isinstance(each, CudaTensor) and each.ndim > scalars]
        if strangers and len(strangers) < len(leaves):
            shapes = ", ".join(str(tuple(each.shape)) for each in strangers)
            raise WrongDeviceError(f"{func}: tensors on CUDA and on the CPU together; those on the CPU: {shapes}")

    def _look_at_indices(self, func: Any, args: Sequence[Any]) -> None:
        for index in (each for each in args[1] if each is not None):
            if not isinstance(args[0], CudaTensor) and isinstance(index, CudaTensor):
                raise WrongDeviceError(f"{func}: an index on CUDA for a tensor on the CPU")
            if index.dtype in (torch.bool, torch.uint8) and not _fills(func, args):
                self.waits.note(f"{func}: a mask whose values give the shape")
            elif not isinstance(index, CudaTensor):
                self.waits.note(f"{func}: an index copied to the device, blocking")


def _fills(func: Any, args: Sequence[Any]) -> bool:
    """Return whether a mask says where one number is written, for which no shape has to be known."""
    return func.overloadpacket is not _aten.index and len(args) > 2 and args[2].ndim == 0


def _result(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], found: Any, on_cuda: bool) -> Any:
    """Return what an operation gives: the tensors that it wrote to themselves, and new ones on their device."""
    written = [
        kwargs[argument.name] if argument.name in kwargs else args[at]
        for at, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None
        and argument.alias_info.is_write
        and (argument.name in kwargs or at < len(args))
    ]
    if written and len(func._schema.returns) == len(written):
        return written[0] if len(written) == 1 else type(found)(written) if isinstance(found, list) else tuple(written)
    return tree_map_only(Tensor, CudaTensor, found) if on_cuda else found


class _Words(TorchFunctionMode):
    """Says `cuda:0` where Python code asks for a device, and `meta` where it names one."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        kwargs = kwargs or {}
        tensor = args[0] if args else None
        if func == Tensor.device.__get__:  # type: ignore[attr-defined]
            return CUDA if isinstance(tensor, CudaTensor) else func(*args)
        if isinstance(tensor, CudaTensor) and func in _SAID_OF_CUDA:
            return _SAID_OF_CUDA[func]
        if func is Tensor.tolist and isinstance(tensor, CudaTensor):
            return tensor.cpu().tolist()
        if func is Tensor.numpy and isinstance(tensor, CudaTensor):
            raise WrongDeviceError("numpy: a tensor on CUDA")
        if func is Tensor.cuda:
            return tensor.to(_STANDS_FOR_CUDA)  # type: ignore[union-attr]
        made_from_values = func in (torch.tensor, torch.as_tensor, torch.asarray) and _is_cuda(kwargs.get("device"))
        if made_from_values:
            made = func(*args, **{**kwargs, "device": torch.device("cpu")})
            return made.to(_STANDS_FOR_CUDA)
        if isinstance(tensor, Tensor):
            args = (tensor, *(_STANDS_FOR_CUDA if _is_cuda(each) else each for each in args[1:]))
        if _is_cuda(kwargs.get("device")):
            kwargs = {**kwargs, "device": _STANDS_FOR_CUDA}
        return func(*args, **kwargs)


_SAID_OF_CUDA: dict[Callable[..., Any], bool] = {
    Tensor.is_cuda.__get__: True,  # type: ignore[attr-defined]
    Tensor.is_meta.__get__: False,  # type: ignore[attr-defined]
    Tensor.is_cpu.__get__: False,  # type: ignore[attr-defined]
}


def _is_cuda(value: object) -> bool:
    if isinstance(value, torch.device):
        return value.type == "cuda"
    return isinstance(value, str) and (value == "cuda" or value.startswith("cuda:"))


@contextmanager
def fake_cuda() -> Iterator[Waits]:
    """Pretend inside the `with` that there is a CUDA device, and note what the CPU waits for."""
    waits = Waits()
    streams = patch.multiple(torch.cuda, get_rng_state=lambda *_: None, set_rng_state=lambda *_: None)
    precision = patch.object(torch, "autocast", lambda *_, **__: nullcontext())
    with streams, precision, _Words(), _Operations(waits):
        yield waits


STEPS = ("training/loop:_step", "training/images:_step")
"""Inner loops: nothing that is called by these may wait."""
IN_STEPS = {
    "ot/cost:as_points": "the exact plan between features is solved on the CPU",
    "stages/recovery/transport:set_discrepancy": "the exact plan between features is solved on the CPU",
    "methods/gvbsm/terms:densification": "eigenvalues: CUDA's solver checks its outcome, and there is no other",
}
"""Place that waits inside of a step → why it must."""
BETWEEN_STEPS = {
    "models/building:build_teacher": "weights, before the first step",
    "stages/squeeze:begin": "weights, before the first step",
    "methods/scdd/selfsupervised:_drawn": "weights, before the first step",
    "methods/scdd/selfsupervised:_probe": "weights, before the first step",
    "methods/gvbsm/terms:layer_targets": "targets, before the first step",
    "methods/dd/distill:dd": "labels and start, before the first step",
    "methods/kip/distill:kip": "labels, before the first step; learned labels, after the last one",
    "methods/mtt/distill:mtt": "labels, before the first step; the learned rate, after the last one",
    "evaluation/procedures:take_steps": "labels and rates, before the first step",
    "evaluation/procedures:KernelRegression.__init__": "labels, before the first answer",
    "stages/recovery/descent:_start": "images, before the first step of a group",
    "stages/recovery/residuals:Retrieval._features": "the features of a group's images, between two parts",
    "methods/wmdd_plus/recover:cell_targets": "targets, before the first step of a group",
    "stages/recovery/groups:moment_targets": "targets, before the first step of a group",
    "methods/wmdd_plus/choose:seen_by": "features and moments of a class's images, after the last step",
    "training/images:optimise": "start, before the first step; the loss of that step, to compare the last one with",
    "training/images:_report": "one row of the log, of at most 100 for a unit",
    "training/images:_loss_again": "the loss after the last step",
    "models/finite:first_nonfinite": "weights that training begins with",
    "training/loop:_epoch": "the mean loss of an epoch",
    "evaluation/accuracy:accuracies": "the answers to all images",
    "training/pixels:to_pixels": "images, after the last step",
    "training/pixels:unbounded_set": "exact images, after the last step",
    "stages/squeeze:as_teacher": "weights, after the last step",
    "stages/dynamics:_Record._write": "the answers of an epoch",
    "methods/mtt/experts:_flat": "weights after each epoch: they are the result",
    "stages/statistics:pass_images": "the features of a class",
    "stages/view_features:_of_class": "the features of a class",
    "models/streaming_moments:LayerMoments.tensors": "the moments of a class",
    "methods/scdd/selfsupervised:_features": "the features of a batch: no step follows before all are there",
    "stages/relabel:teacher_logits": "the answers to a batch: they go to the disk",
    "stages/diagnose:_features_and_head": "the features of a batch, for the CPU",
    "stages/diagnose:_is_affine_head": "whether they are mapped to the logits, for each batch",
    "stages/diagnose:_array": "the last layer",
    "stages/losses:_under_network": "the distances of all classes",
    "stages/losses:_pass_group": "what is seen of a group, for the CPU",
    "stages/losses:_by_class": "the features of a group, for the CPU",
    "training/ntk:solve_labels": "the one solution",
    "data/whitening:fit_whitening": "the whitening, before the first step",
    "methods/ls/distill:label_solve": "the labels that were solved for",
}
"""Place that waits outside of steps → for what."""


def check_waits(waits: Waits, **exactly: int) -> None:
    """Fail if a step waits for the device, or something else at a place that has no line in the tables.

    `exactly` is how often some functions wait, by their name in lines of the table; places in loops should be here.
    """
    inside = {place for place in waits.within(*STEPS) if place not in IN_STEPS}
    elsewhere = set(waits.places) - BETWEEN_STEPS.keys() - IN_STEPS.keys() - inside
    lines = [
        f"{place} waits {words}: {waits.traces[place]}"
        for places, words in ((inside, "inside of a step"), (elsewhere, "and is not in the table"))
        for place in sorted(places)
    ]
    assert not lines, "\n".join(lines)
    for name, count in exactly.items():
        found = sum(number for place, number in waits.places.items() if place.rpartition(":")[2] == name)
        assert found == count, f"{name} waits {found} times, and should {count}: {dict(waits.places)}"


def tensors_of(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors of a record with their places in it."""
    if isinstance(value, Tensor):
        yield name, value
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from tensors_of(getattr(value, each.name), f"{name}.{each.name}")
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from tensors_of(each, f"{name}.{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for at, each in enumerate(value):
            yield from tensors_of(each, f"{name}.{at}")


def check_record(found: Any, expected: Any) -> None:
    """Fail if a record holds a tensor on the device, or others than the same stage gives on the CPU."""
    pairs = list(zip(tensors_of(found), tensors_of(expected), strict=True))
    for (name, one), (other_name, other) in pairs:
        assert name == other_name
        assert not isinstance(one, CudaTensor), f"{name} lies on the device"
        tolerance = {"rtol": 0, "atol": 1} if one.dtype == torch.uint8 else {"rtol": 1e-3, "atol": 1e-3}
        torch.testing.assert_close(one, other, **tolerance, equal_nan=True)
