"""SCDD: SRe2L under a teacher whose backbone has learnt without labels."""

from wmdd.errors import ConfigError
from wmdd.methods._method import Method, MethodSettings, Result, Size, Stages, Work
from wmdd.methods._work import inverting
from wmdd.methods.scdd.selfsupervised import SELF_SUPERVISED
from wmdd.methods.sre2l.wiring import invert_whole_set
from wmdd.settings import SelfSupervisedSettings


def teach(stages: Stages, train: Result, val: Result, recipe: MethodSettings) -> tuple[Result, ...]:
    """Train the network that `squeeze` names without labels, and its last layer with them."""
    squeeze = recipe.squeeze
    if squeeze.checkpoint is not None or squeeze.pretrained:
        given = "squeeze.pretrained" if squeeze.checkpoint is None else f"squeeze.checkpoint {squeeze.checkpoint}"
        raise ConfigError(f"scdd trains its teacher without labels; got {given}; leave it out, or use method sre2l")
    settings = SelfSupervisedSettings(arch=squeeze.arch, stem=squeeze.stem, seed=squeeze.seed, training=recipe.scdd)
    return (stages.run(SELF_SUPERVISED, train, val, settings=settings),)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Wire statistics and inversion, as SRe2L does."""
    return invert_whole_set(stages, train, teachers[0], recipe, recover=recipe.recover, method="scdd")


def teach_work(recipe: MethodSettings, size: Size) -> tuple[Work, ...]:
    """Count two views of each image."""
    return (Work(arch=recipe.squeeze.arch, both=2 * recipe.scdd.epochs * size.images),)


SCDD = Method(
    name="scdd",
    source="Self-supervised Dataset Distillation: A Good Compression Is All You Need, 2024, arXiv:2404.07976",
    distill=distill,
    teach=teach,
    needs_batchnorm=True,
    teach_work=teach_work,
    work=inverting,
)
