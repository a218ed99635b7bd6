"""What pictures and classes cannot hold comes back too; and a set that nobody asked a teacher about needs no views."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from wmdd.errors import ArtifactError
from wmdd.product.manifest import EXACT
from wmdd.product.reading import load
from wmdd.product.writing import export_set, write_product
from wmdd.values import DistilledSet, LazyEpochs, SoftLabels

FIELDS = ("exact", "targets", "rates", "whitening")


def make_set(**fields: Tensor) -> DistilledSet:
    return DistilledSet(
        method="drawn",
        images=torch.randint(256, (4, 1, 8, 8), dtype=torch.uint8),
        labels=torch.tensor([0, 0, 1, 1]),
        weights=torch.full((4,), 0.5),
        classes=("cat", "dog"),
        mean=(0.5,),
        std=(0.25,),
        **fields,
    )


def full() -> DistilledSet:
    exact, targets, whitening = torch.randn(4, 1, 8, 8), torch.randn(4, 2), torch.randn(65, 64)
    return make_set(exact=exact, targets=targets, rates=torch.tensor([0.5, 0.25]), whitening=whitening)


def test_the_kernel_comes_back(tmp_path: Path) -> None:
    made = replace(full(), kernel="convnet3")
    write_product(made, None, tmp_path / "made", facts={})
    assert load(tmp_path / "made").kernel == "convnet3"
    export_set(made, tmp_path / "tensors", "safetensors")
    with safe_open(tmp_path / "tensors/distilled.safetensors", "pt") as file:
        assert json.loads(file.metadata()["wmdd"])["kernel"] == "convnet3"


def without_views() -> SoftLabels:
    def read(number: int) -> None:
        raise AssertionError(number)

    return SoftLabels(
        store="full",
        batch=4,
        temperature=20.0,
        num_classes=2,
        epochs=LazyEpochs(0, read),  # pyright: ignore[reportArgumentType]
        plain=torch.randn(4, 2),
        num_bytes=0,
    )


@pytest.mark.parametrize("there", [FIELDS, ("targets",), ("exact", "rates")])
def test_exact_values_come_back(there: tuple[str, ...], tmp_path: Path) -> None:
    whole = full()
    made = replace(whole, **{name: None for name in FIELDS if name not in there})
    write_product(made, None, tmp_path / "set", facts={})
    found = load(tmp_path / "set")
    for name in FIELDS:
        value = getattr(found, name)
        assert (value is not None) == (name in there)
        assert value is None or (value.dtype == torch.float32 and torch.equal(value, getattr(whole, name)))
    assert torch.equal(found.images, whole.images)


def test_a_set_of_pictures_has_no_such_file(tmp_path: Path) -> None:
    write_product(make_set(), None, tmp_path / "set", facts={})
    assert not (tmp_path / "set" / EXACT).exists()
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert EXACT not in card
    assert "exact values" not in card


def test_the_card_and_the_manifest_tell_of_them(tmp_path: Path) -> None:
    write_product(full(), None, tmp_path / "set", facts={})
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert all(f"- `{name}`: " in card for name in FIELDS)
    size = (tmp_path / "set" / EXACT).stat().st_size
    assert f"exact values {size:,} bytes" in card
    files = json.loads((tmp_path / "set" / "manifest.json").read_text("utf-8"))["files"]
    assert {"path": EXACT, "size": size}.items() <= files[1].items()


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_is_one_line(damage: str, tmp_path: Path) -> None:
    write_product(full(), None, tmp_path / "set", facts={})
    path = tmp_path / "set" / EXACT
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:-4])
    with pytest.raises(ArtifactError, match=rf"{EXACT}: damaged; got [^\n]+$"):
        load(tmp_path / "set")


def test_the_same_set_gives_the_same_bytes(tmp_path: Path) -> None:
    made = full()
    for name in ("one", "other"):
        write_product(made, None, tmp_path / name, facts={})
    assert (tmp_path / "one" / EXACT).read_bytes() == (tmp_path / "other" / EXACT).read_bytes()


def test_safetensors_export_keeps_them(tmp_path: Path) -> None:
    made = full()
    export_set(made, tmp_path / "plain", "safetensors")
    found = load_file(tmp_path / "plain" / "distilled.safetensors")
    assert all(torch.equal(found[name], getattr(made, name)) for name in FIELDS)


def test_a_product_without_views_loads_and_says_what_is_missing(tmp_path: Path) -> None:
    labels = without_views()
    write_product(make_set(), labels, tmp_path / "set", facts={})
    assert not (tmp_path / "set" / "fkd").exists()
    found = load(tmp_path / "set")
    assert found.soft_labels is not None
    assert len(found.soft_labels.epochs) == 0
    torch.testing.assert_close(found.soft_labels.plain, labels.plain)
    with pytest.raises(ArtifactError, match="got no views to replay; train on .images and .labels instead"):
        found.loader()
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert "soft_label |" in card
    assert "Config `fkd`" not in card
    assert "fkd/train" not in card
    assert "## Train" not in card
