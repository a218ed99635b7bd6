"""Fresh networks: the weights depend on the seed, the stage and the names of the unit of work, and on nothing else."""

import torch
from torch import nn

from wmdd.context import Context, seeded, stream_seed
from wmdd.models._registry import build_model, resolve_spec
from wmdd.values import ImageSet, ModelSpec, Teacher


def fresh_network(spec: ModelSpec, ctx: Context, *names: str | int) -> nn.Module:
    """Return the random network that belongs to `names`, in train mode, on the device of `ctx`."""
    with seeded(stream_seed(ctx.seed, ctx.stage, *names), torch.device("cpu")):
        model = build_model(spec)
    return model.to(ctx.device).train()


def network_spec(arch: str, train: ImageSet, teacher: Teacher) -> ModelSpec:
    """Return the specification of a network for `train`, with the teacher's stem, as students have it.

    Raises:
        ConfigError: the architecture is unknown, or the images do not suit it.
    """
    return resolve_spec(
        arch,
        num_classes=len(train.classes),
        channels=train.channels,
        image_size=train.image_size,
        stem=teacher.spec.stem,
    )
