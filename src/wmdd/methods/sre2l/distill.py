"""SRe2L's wiring: statistics → inversion under cross-entropy and global statistics."""

from wmdd.methods.algorithm import Algorithm, Result, Stages
from wmdd.methods.kits.inversion import invert_with, recovery_work
from wmdd.settings import Recipe


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Invert the teacher; CDA and SC-DD do the same with other crops, and with another teacher."""
    return invert_with("cross_entropy", stages, train, teachers[0], recipe)


ALGORITHM = Algorithm(distill=distill, work=recovery_work)
