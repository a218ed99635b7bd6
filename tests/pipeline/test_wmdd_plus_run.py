"""A run of wmdd+ that imitates a part of the images: it is measured against all of them."""

from pathlib import Path
from typing import Any

import wmdd
from wmdd.methods.catalogue import complete

ARCH = "convnet1_w8_bn"
TINY: dict[str, Any] = {
    "method": "wmdd+",
    "ipc": 1,
    "device": "cpu",
    "precision": "fp32",
    "squeeze": {"epochs": 1, "arch": ARCH},
    "barycenter.iterations": 2,
    "recover.iterations": 2,
    "plus.keep": 0.5,
}


def students(*references: str) -> dict[str, Any]:
    return {"students": (ARCH,), "protocols": ("dc",), "epochs": 1, "seeds": 1, "references": references}


def test_sets_are_diagnosed_against_all_real_images(tmp_path: Path) -> None:
    store, runs = tmp_path / "store", dict[str, Any]()
    for name, references in (("random", ("random",)), ("medoids", ("random", "k-medoids"))):
        recipe = complete({**TINY, "evaluate": students(*references)})
        runs[name] = wmdd.distill("digits", recipe=recipe, out=tmp_path / name, store=store).metrics
    plain = complete({**TINY, "method": "wmdd", "evaluate": students("random")}, {})
    runs["wmdd"] = wmdd.distill("digits", recipe=plain, out=tmp_path / "wmdd", store=store).metrics
    assert runs["random"].get("diagnosis", {}) == {}  # only statistics of the kept images were made
    assert runs["medoids"]["diagnosis"]["random"] == runs["wmdd"]["diagnosis"]["random"]
    assert "wmdd+" in runs["medoids"]["diagnosis"]
