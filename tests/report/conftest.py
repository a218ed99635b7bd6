"""A fixture that writes run folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from run_folders import make_log, make_metrics, write_images

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return a function that writes a run folder without some parts, with a full log if `curves`."""

    def make(
        name: str = "run", *, metrics: Any = None, without: tuple[str, ...] = (), curves: bool = False, **images: int
    ) -> Path:
        run = tmp_path / name
        run.mkdir()
        if "metrics.json" not in without:
            (run / "metrics.json").write_text(json.dumps(make_metrics() if metrics is None else metrics))
        if "log.jsonl" not in without:
            (run / "log.jsonl").write_text(
                "".join(json.dumps(row) + "\n" for row in make_log()[: None if curves else 2])
            )
        if "recipe.yaml" not in without:
            recipe = {"ipc": 2, "squeeze": {"arch": "resnet18", "checkpoint": None, "flip": True},
                      "evaluate": {"students": ["resnet18", "resnet50"], "views": {"crop_min": 0.08}}}  # fmt: skip
            (run / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
        if "distilled" not in without:
            write_images(run / "distilled", **images)
        return run

    return make
