"""Gradient matching (DC), and with Siamese augmentation (DSA): images that train a network as real images do.

For class c, with the gradient g(X) = grad_theta CE(net_theta(A(X)), c) and a transform A (none for DC; for DSA drawn
anew for each class and step, the same for both sides):

    L = sum_c D(g(X_c), g(real_c)),   D = `gradient_distance`

Each iteration starts a network from random weights; between its image steps it is trained on the images, so that they
serve a network in the midst of its training too. Zhao, Mopuri and Bilen, ICLR 2021 (arXiv:2006.05929); Zhao and Bilen,
ICML 2021 (arXiv:2102.08259). Differs from the reference code: every draw has a stream of its own (there, making a
network seeds everything anew, by the clock), and BatchNorm layers are recalibrated exactly (`kits/matching.py`).
Networks always compute in fp32: second derivatives are too coarse in bf16.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from wmdd.context import Context, seeded, sent, stream_seed
from wmdd.data.dsa import apply_dsa, draw_dsa
from wmdd.data.loading import shuffled
from wmdd.methods.algorithm import Result, Size, Stages, Work
from wmdd.methods.kits.matching import SiameseBatches
from wmdd.methods.kits.settings import GradientSettings
from wmdd.models.building import fresh_network
from wmdd.settings import Recipe
from wmdd.stages.stage import Stage
from wmdd.training.gradients import class_gradient, gradient_distance
from wmdd.training.images import Descent, Variable, Variables, optimise
from wmdd.training.losses import label_loss
from wmdd.training.pixels import class_labels, start_images, unbounded_set
from wmdd.training.unroll import SECOND_ORDER
from wmdd.values import DistilledSet, ImageSet, Teacher


def match_gradients(
    train: ImageSet,
    teacher: Teacher,
    settings: GradientSettings,
    *,
    ipc: int,
    method: str = "dc",
    ctx: Context | None = None,
) -> DistilledSet:
    """Return `ipc` images of each class, under the class order and the normalisation of `teacher`.

    The unit of work is an image step; `method` is the name that the set carries.

    Raises:
        ConfigError: the architecture is unknown, or the images do not suit it.
        NumericsError: the loss is not finite any more.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    batches = SiameseBatches.of(train, teacher, settings, ctx)
    loss = _GradientLoss(batches=batches, settings=settings, loops=settings.loops(ipc), ctx=ctx)
    start = start_images(train, teacher, range(len(train.classes)), ipc, start=settings.start, ctx=ctx)
    descent = Descent(
        unit="images",
        iterations=settings.iterations * loss.loops[0],
        optimiser=partial(torch.optim.SGD, momentum=settings.momentum),
        carried=loss,
        advice=f"lower {settings.section}.lr or {settings.section}.lr_net",
    )
    images = optimise({"images": Variable(start=start, lr=settings.lr)}, loss, descent, ctx=ctx)["images"]
    return unbounded_set(method, images, teacher)


@dataclass(kw_only=True)
class _GradientLoss:
    """The loss of an image step, class by class; it carries the network that is in training."""

    batches: SiameseBatches
    settings: GradientSettings
    loops: tuple[int, int]
    ctx: Context
    model: nn.Module | None = None

    def __call__(self, step: int, variables: Variables) -> Iterator[Tensor]:
        """Yield the distance of each class's gradients."""
        outer, _ = self.loops
        iteration, turn = divmod(step, outer)
        images = variables["images"]
        if turn == 0 or self.model is None:
            self.model = fresh_network(self.batches.spec, self.ctx, "network", iteration)
        else:
            self._train(self.model, images.detach(), step)
        self.batches.recalibrate(self.model, step)
        for label, group in enumerate(images.chunk(self.batches.spec.num_classes)):
            yield self._distance(self.model, group, label, step)

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the network's weights."""
        return {} if self.model is None else self.model.state_dict()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up a network in the midst of its training."""
        self.model = fresh_network(self.batches.spec, self.ctx, "network", 0)
        self.model.load_state_dict(dict(tensors))

    def _distance(self, model: nn.Module, images: Tensor, label: int, step: int) -> Tensor:
        """Return the distance of the gradients of one class's real and distilled images `(K, ch, R, R)`."""
        real, images = self.batches.pair(images, label, step)
        with seeded(stream_seed(self.ctx.seed, self.ctx.stage, "dropout", step, label), self.ctx.device):
            wanted = class_gradient(model, real, label, differentiable=False)
            found = class_gradient(model, images, label, differentiable=True)
        return gradient_distance(found, wanted, self.settings.distance)

    def _train(self, model: nn.Module, images: Tensor, step: int) -> None:
        """Train the network on the images for `inner` epochs; every use of an image has its own transform."""
        settings, classes = self.settings, self.batches.spec.num_classes
        labels = sent(class_labels(classes, len(images) // classes), images.device)
        optimiser = torch.optim.SGD(model.train().parameters(), settings.lr_net)
        generator = self.ctx.generator("inner", step)
        with seeded(stream_seed(self.ctx.seed, self.ctx.stage, "dropout", step), self.ctx.device):
            for _ in range(self.loops[1]):
                for index in shuffled(len(images), settings.batch_net, generator):
                    transforms = draw_dsa(settings.strategy, images.shape[-1], len(index), generator)
                    index = sent(index, images.device)
                    loss = label_loss(model(apply_dsa(images[index], transforms)), labels[index])
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()
                    optimiser.step()


MATCH_GRADIENTS = Stage(name="match_gradients", version=2, run=match_gradients, output=DistilledSet, networks=False)


def distill_with(
    kind: type[GradientSettings], stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe
) -> Result:
    """Match gradients under the settings of a kind, for the methods that differ in those alone."""
    settings = recipe.of(kind)
    return stages.run(MATCH_GRADIENTS, train, teachers[0], settings=settings, ipc=recipe.ipc, method=recipe.method)


def matching_work(kind: type[GradientSettings], recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count gradients of real and distilled images, and the training of networks between them."""
    settings, images = recipe.of(kind), size.classes * recipe.ipc
    outer, inner = settings.loops(recipe.ipc)
    step = size.classes * settings.batch_real + SECOND_ORDER * images + inner * images
    batch, setting = min(settings.batch_net, images), f"{settings.section}.batch_net"
    return (Work(arch=settings.arch, both=settings.iterations * outer * step, batch=batch, setting=setting),)
