"""The wiring of all that invert a teacher under cross-entropy: statistics → inversion."""

from wmdd.methods.algorithm import Algorithm, Result, Stages
from wmdd.methods.kits.inversion import invert_with, recovery_work
from wmdd.settings import Recipe


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Invert the teacher; SRe2L, CDA and SC-DD do the same under settings, or a teacher, of their own."""
    return invert_with("cross_entropy", stages, train, teachers[0], recipe)


ALGORITHM = Algorithm(distill=distill, work=recovery_work)
