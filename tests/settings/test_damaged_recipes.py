"""A damaged recipe is one line, or a recipe."""

from pathlib import Path

import pytest

from damage import json_text, or_one_line
from mutations import damaged, damaged_json
from wmdd.methods.catalogue import complete
from wmdd.pipeline.bench_recipe import cells
from wmdd.recipes import choose_bench, choose_recipe
from wmdd.settings.recipe import write_recipe
from wmdd.settings.yaml_tree import load_yaml

TEXTS = {
    "recipe": write_recipe(complete({"ipc": 2, "recover.lr": 0.1})),
    "bench": "base: {ipc: 1, recover: {lr: 0.1}}\nmethods: [random, wmdd, low]\nipcs: [1, 5]\n"
    "variants: {low: {method: wmdd, recover.lr: 0.01}}\ndistill_seeds: 2\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("seed", range(100))
def test_a_damaged_recipe_is_one_line_or_a_recipe(tmp_path: Path, text: str, seed: int) -> None:
    path = tmp_path / "mine.yaml"
    for content in (damaged(text.encode(), seed), json_text(damaged_json(load_yaml(text), seed)).encode()):
        path.write_bytes(content)
        or_one_line(lambda: complete(choose_recipe("digits", path)))
        or_one_line(lambda: cells(choose_bench("digits", path))[:5])
