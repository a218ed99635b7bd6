"""Training steps that several processes take together: each passes its rows of the batch, and gradients are averaged.

The rows of a batch, its loss and the moments of BatchNorm layers are those of one process; sums are taken in another
order, so that results agree to rounding and not to the bit. Dropout draws other masks on every worker.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from wmdd.context import Team, Value


class ProcessTeam(Team):
    """The processes of torch's default process group, which must be there."""

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()

    def agree(self, value: Value) -> Value:
        """Return the first worker's value; every worker asks."""
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over the workers; every worker asks."""
        total = values.clone()
        dist.all_reduce(total)
        return total / self.size

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return a network with the parameters of `model` whose gradients are means over the workers."""
        # Buffers need not be sent: BatchNorm layers see the rows of all workers, so theirs are equal.
        with warnings.catch_warnings():  # torch 2.15 calls this forward_sync_buffers, which 2.11 does not know
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(model, broadcast_buffers=False)

    def step(self) -> "SharedBatchNorm":
        """Return the context of a forward pass in training: in it BatchNorm layers see the rows of all workers."""
        return SharedBatchNorm(self)


class SharedBatchNorm(TorchFunctionMode):
    """Lets `batch_norm` in training take its moments over the rows of all workers, whoever calls it.

    Takes the place of `torch.nn.SyncBatchNorm`, which needs a GPU and does not know BatchNorm layers of other types,
    such as timm's with an activation inside.
    """

    def __init__(self, team: Team) -> None:
        super().__init__()
        self._team = team

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `func`, or what takes its place."""
        del types
        given = kwargs or {}
        if func is F.batch_norm and given.get("training"):
            names = ("weight", "bias", "momentum", "eps")
            return self._batch_norm(args[0], (args[1], args[2]), **{name: given[name] for name in names})
        return func(*args, **given)

    def _batch_norm(
        self,
        x: Tensor,
        running: tuple[Tensor | None, Tensor | None],
        *,
        weight: Tensor | None,
        bias: Tensor | None,
        momentum: float,
        eps: float,
    ) -> Tensor:
        """Return `x` `(B, C, ...)` normalised by the moments of all workers' rows, which the running ones follow."""
        dims, shape = [0, *range(2, x.ndim)], (1, -1, *([1] * (x.ndim - 2)))
        values = x.float()
        own = torch.stack([values.mean(dims), values.var(dims, unbiased=False)])
        counts, moments = self._gathered(values.numel() // values.shape[1], own)
        shares = (counts / counts.sum())[:, None]
        mean = (shares * moments[:, 0]).sum(0)
        variance = (shares * (moments[:, 1] + (moments[:, 0] - mean).square())).sum(0)
        for moments_then, now in zip(running, (mean, variance * counts.sum() / (counts.sum() - 1)), strict=True):
            if moments_then is not None:
                moments_then.lerp_(now.detach().to(moments_then.dtype), momentum)
        scale = torch.rsqrt(variance + eps) if weight is None else torch.rsqrt(variance + eps) * weight
        found = (values - mean.view(shape)) * scale.view(shape)
        return (found if bias is None else found + bias.view(shape)).to(x.dtype)

    def _gathered(self, count: int, own: Tensor) -> tuple[Tensor, Tensor]:
        """Return the number of values a channel of every worker, `(W,)`, and its moments, `(W, 2, C)`, with a graph."""
        place = torch.zeros(self._team.size, device=own.device)
        place[self._team.rank] = 1
        row = torch.cat([own.flatten(), own.new_tensor([count])])
        every = cast(Tensor, _Sum.apply(place[:, None] * row))
        return every[:, -1].detach(), every[:, :-1].unflatten(1, own.shape)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over the workers; so is its gradient, for every worker's loss depends on it."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        del ctx
        return _total(own)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        del ctx
        return _total(gradient)


def _total(own: Tensor) -> Tensor:
    total = own.clone()
    dist.all_reduce(total)
    return total
