"""What several methods pass through networks, counted beforehand."""

from wmdd.methods._method import MethodSettings, Size, Work
from wmdd.settings import GradientSettings

MATCHING = 1.5
"""A step against statistics costs about this much of the bare forward and backward (see benchmarks/)."""
SECOND_ORDER = 3
"""So many times the bare forward and backward is a gradient through a gradient."""


def seeing_all(recipe: MethodSettings, size: Size) -> tuple[Work, ...]:
    """Count one pass of the teacher over the real images."""
    return (Work(arch=recipe.squeeze.arch, forward=size.images),)


def inverting(recipe: MethodSettings, size: Size) -> tuple[Work, ...]:
    """Count statistics and recovery under the teacher."""
    steps = recipe.recover.iterations * size.classes * recipe.ipc
    return (Work(arch=recipe.squeeze.arch, forward=size.images, both=MATCHING * steps),)


def matching_gradients(settings: GradientSettings, ipc: int, size: Size) -> tuple[Work, ...]:
    """Count gradients of real and distilled images, and the training of networks between them."""
    outer, inner = settings.loops(ipc)
    images = size.classes * ipc
    step = size.classes * settings.batch_real + SECOND_ORDER * images + inner * images
    return (Work(arch=settings.arch, both=settings.iterations * outer * step),)
