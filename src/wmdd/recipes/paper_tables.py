"""All tables of the paper as bench recipes, and their small forms: names ending in `_smoke`, and `testbed_...`."""

from collections.abc import Callable

from wmdd.pipeline.bench_recipe import BenchRecipe
from wmdd.recipes import paper, paper_studies
from wmdd.recipes.reduced import on_testbed, smoke

_FULL = (*paper.MAIN_TABLES, *paper_studies.STUDIES)
_SMOKE = (
    *(paper.paper_main, paper.paper_ablation, paper.paper_cross, paper_studies.paper_lambda),
    *(paper_studies.paper_metric, paper_studies.paper_metric_alone, paper_studies.paper_weights),
    *(paper_studies.paper_iterations, paper_studies.paper_images),
)
"""One of each kind: the tables of other data sets have the same rows."""
_OTHER_NETWORKS = ("convnet3_w32_bn", "resnet18", "mobilenetv2", "vit_tiny")
_TESTBED = (
    on_testbed(paper.paper_main, hours=6, seeds=3),
    on_testbed(
        paper.paper_ablation,
        hours=1,
        measured="""2026-12-01 with lambda of each cell by `benchmarks.tuning`, wasserstein-pcbn, wasserstein-bn,
        ce-pcbn, ce-bn, random: 48.9, 48.7, 51.9, 45.7, 54.1 under `rded`; 33.5, 35.5, 35.5, 28.4, 31.3 under hard.""",
    ),
    on_testbed(paper.paper_cross, hours=11, sets=1, students=_OTHER_NETWORKS),
    on_testbed(paper_studies.paper_lambda, hours=3, sets=1, rows={"recover.roll": 4}),
    on_testbed(paper_studies.paper_metric, hours=3),
    on_testbed(paper_studies.paper_metric_alone, hours=3),
    on_testbed(
        paper_studies.paper_weights,
        hours=2,
        measured="""2026-12-01, learned, uniform, exact, random, all real images: 48.6, 47.6, 47.9, 54.1, 63.6 under
        `rded`; 35.8, 35.7, 35.4, 31.3, 60.8 under hard labels.""",
    ),
    on_testbed(paper_studies.paper_iterations, hours=2),
    on_testbed(
        paper_studies.paper_images,
        hours=1,
        sets=1,
        measured="2026-12-01; docs/lab-book.md has the pictures.",
    ),
)

PAPER_TABLES: dict[str, Callable[[], BenchRecipe]] = {
    make.__name__: make for make in (*_FULL, *map(smoke, _SMOKE), *_TESTBED)
}
"""Name → bench recipe."""
