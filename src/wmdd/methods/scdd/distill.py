"""SC-DD's wiring: a teacher that learns without labels, then SRe2L's inversion."""

from wmdd.errors import ConfigError
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work
from wmdd.methods.inversion.distill import distill
from wmdd.methods.kits.inversion import recovery_work
from wmdd.methods.scdd import PretrainingSettings, SelfSupervisedSettings
from wmdd.methods.scdd.selfsupervised import SELF_SUPERVISED
from wmdd.settings import Recipe


def teach(stages: Stages, train: Result, val: Result, recipe: Recipe) -> tuple[Result, ...]:
    """Train the network that `squeeze` names without labels, and its last layer with them."""
    squeeze = recipe.squeeze
    if squeeze.checkpoint is not None or squeeze.pretrained:
        given = "squeeze.pretrained" if squeeze.checkpoint is None else f"squeeze.checkpoint {squeeze.checkpoint}"
        raise ConfigError(f"scdd trains its teacher without labels; got {given}; leave it out, or use method sre2l")
    settings = SelfSupervisedSettings(
        arch=squeeze.arch, stem=squeeze.stem, seed=squeeze.seed, training=recipe.of(PretrainingSettings)
    )
    return (stages.run(SELF_SUPERVISED, train, val, settings=settings),)


def teach_work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count two views of each image."""
    own = recipe.of(PretrainingSettings)
    batch = min(own.batch, size.images)
    return (
        Work(arch=recipe.squeeze.arch, both=2 * own.epochs * size.images, batch=batch, setting="selfsupervised.batch"),
    )


ALGORITHM = Algorithm(distill=distill, teach=teach, teach_work=teach_work, work=recovery_work)
