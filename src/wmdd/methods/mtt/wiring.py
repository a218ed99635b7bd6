"""MTT: experts on the real images → images that lead a student along their trajectories."""

from wmdd.methods._method import Method, MethodSettings, Result, Size, Stages, Work
from wmdd.methods._work import SECOND_ORDER
from wmdd.methods.mtt.distill import MTT as MATCH
from wmdd.methods.mtt.distill import require_long_ways
from wmdd.methods.mtt.experts import EXPERTS


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Wire experts, which all IPC share, and matching."""
    require_long_ways(recipe.mtt, recipe.experts.epochs)
    experts = stages.run(EXPERTS, train, teachers[0], settings=recipe.experts)
    return stages.run(MATCH, train, teachers[0], experts, settings=recipe.mtt, ipc=recipe.ipc)


def work(recipe: MethodSettings, size: Size) -> tuple[Work, ...]:
    """Count the training of the experts, and the students' steps."""
    experts, images = recipe.experts, size.classes * recipe.ipc
    taught = recipe.mtt.iterations * recipe.mtt.steps * min(recipe.mtt.batch or images, images)
    shown = experts.count * experts.epochs * size.images
    return (Work(arch=experts.arch, both=shown + SECOND_ORDER * taught),)


MTT = Method(
    name="mtt",
    source="Dataset Distillation by Matching Training Trajectories, CVPR 2022, arXiv:2203.11932",
    distill=distill,
    networks=lambda recipe: (recipe.experts.arch,),
    work=work,
)
