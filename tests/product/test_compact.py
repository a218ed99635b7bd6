"""Compact soft labels on disk: linked from the store, read as they were, converted from full ones."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from wmdd.artifacts.formats import read_record, write_record
from wmdd.artifacts.tensors import read_tensors, write_tensors
from wmdd.context import Context
from wmdd.data.drawing import same_views
from wmdd.errors import ArtifactError, ConfigError
from wmdd.product.conversion import compact, export_with_labels
from wmdd.product.labels import soft_targets
from wmdd.product.reading import load
from wmdd.product.writing import write_product
from wmdd.settings import RelabelSettings
from wmdd.stages.relabel import relabel
from wmdd.values import DistilledSet, SoftLabels, Teacher

EPOCHS, BATCH = 3, 4


def made(distilled: DistilledSet, teacher: Teacher, **changes: object) -> SoftLabels:
    ctx = Context(stage="relabel", seed=3)
    return relabel(distilled, (teacher,), RelabelSettings(**changes), epochs=EPOCHS, batch=BATCH, ctx=ctx)


def stored(labels: SoftLabels, folder: Path) -> SoftLabels:
    folder.mkdir()
    write_record(labels, folder)
    return read_record(SoftLabels, folder)


@pytest.mark.parametrize("top_k", [1, 3])
@pytest.mark.parametrize("passes", [None, 2])
def test_a_product_shares_its_files_with_the_store(
    distilled: DistilledSet, teacher: Teacher, tmp_path: Path, top_k: int, passes: int | None
) -> None:
    labels = stored(made(distilled, teacher, store="topk", top_k=top_k, passes=passes), tmp_path / "store")
    write_product(distilled, labels, tmp_path / "set", facts={})
    files = sorted((tmp_path / "set" / "fkd").iterdir())
    assert [file.name for file in files] == [f"epoch-{number:05d}.safetensors" for number in range(EPOCHS)]
    assert all(os.path.samefile(file, tmp_path / "store" / file.name) for file in files)
    found = load(tmp_path / "set").soft_labels
    assert found is not None
    assert (found.redrawn, found.pooled) == (True, passes is not None)
    for one, other in zip(found.epochs, labels.epochs, strict=True):
        assert same_views(one.views, other.views)
        assert torch.equal(soft_targets(one, 3), soft_targets(other, 3))


def test_without_links_the_file_is_copied(
    distilled: DistilledSet, teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = stored(made(distilled, teacher, store="topk"), tmp_path / "store")

    def refuse(self: Path, target: Path) -> None:
        raise OSError(f"{self} and {target} are on different devices")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    write_product(distilled, labels, tmp_path / "set", facts={})
    path = tmp_path / "set" / "fkd" / "epoch-00001.safetensors"
    assert path.read_bytes() == (tmp_path / "store" / path.name).read_bytes()
    assert not os.path.samefile(path, tmp_path / "store" / path.name)


def test_online_labels_take_no_byte_and_their_views_come_back(
    distilled: DistilledSet, teacher: Teacher, tmp_path: Path
) -> None:
    labels = stored(made(distilled, teacher, store="online"), tmp_path / "store")
    assert not list((tmp_path / "store").glob("epoch-*"))
    write_product(distilled, labels, tmp_path / "set", facts={})
    assert not (tmp_path / "set" / "fkd").exists()
    small = load(tmp_path / "set")
    assert small.soft_labels is not None
    for one, other in zip(small.soft_labels.epochs, made(distilled, teacher).epochs, strict=True):
        assert same_views(one.views, other.views)
    assert len(list(small.loader(batch_size=6))) == EPOCHS


def test_a_pool_is_replayed_beyond_its_epochs(distilled: DistilledSet, teacher: Teacher, tmp_path: Path) -> None:
    write_product(distilled, made(distilled, teacher, store="topk", passes=3), tmp_path / "set", facts={})
    small = load(tmp_path / "set")
    first, again = (list(small.loader(batch_size=3, epochs=2 * EPOCHS, seed=1)) for _ in range(2))
    assert len(first) == 2 * EPOCHS * 2
    assert all(torch.equal(one[1], other[1]) for one, other in zip(first, again, strict=True))
    sums = [sorted(float(images.double().sum()) for images, _, _ in half) for half in (first[:6], first[6:])]
    assert sums[0] == sums[1]
    assert not torch.equal(first[0][0], first[6][0]) or not torch.equal(first[1][0], first[7][0])


@pytest.mark.parametrize("redrawn", [True, False])
def test_full_labels_are_converted(distilled: DistilledSet, teacher: Teacher, tmp_path: Path, redrawn: bool) -> None:
    full = made(distilled, teacher)
    if not redrawn:
        full = replace(full, drawn=None)
    write_product(distilled, full, tmp_path / "full", facts={})
    export_with_labels(load(tmp_path / "full"), tmp_path / "small", 3, facts={})
    found = load(tmp_path / "small").soft_labels
    assert found is not None
    assert (found.store, found.redrawn) == ("topk", redrawn)
    for one, other in zip(found.epochs, full.epochs, strict=True):
        assert same_views(one.views, other.views)
        assert one.scale is not None
        assert other.logits is not None
        off = (soft_targets(one, 3) - other.logits.float()).abs()
        assert bool((off <= one.scale.float()[:, None] / 2 + 1e-6).all())


def test_views_of_another_seed_are_kept_with_the_labels(distilled: DistilledSet, teacher: Teacher) -> None:
    full = made(distilled, teacher)
    assert full.drawn is not None
    assert not compact(replace(full, drawn=replace(full.drawn, seed=4)), 3).redrawn


def test_what_cannot_be_converted_is_one_line(distilled: DistilledSet, teacher: Teacher, tmp_path: Path) -> None:
    write_product(distilled, made(distilled, teacher, store="online"), tmp_path / "online", facts={})
    write_product(distilled, None, tmp_path / "bare", facts={})
    for name, got in (("online", "store 'online'"), ("bare", "none")):
        with pytest.raises(ConfigError, match=f"got {got}; leave --labels out"):
            export_with_labels(load(tmp_path / name), tmp_path / "to", 3, facts={})


def test_a_shard_with_other_content_is_refused(distilled: DistilledSet, teacher: Teacher, tmp_path: Path) -> None:
    for number, change in enumerate(({"scale": torch.zeros(2).half()}, {"scale": torch.full((6,), torch.inf).half()})):
        folder = tmp_path / str(number)
        labels = made(distilled, teacher, store="topk")
        broken = replace(labels, epochs=[replace(each, **change) for each in labels.epochs])
        write_product(distilled, broken, folder, facts={})
        found = load(folder).soft_labels
        assert found is not None
        with pytest.raises(ArtifactError, match="scale"):
            _ = found.epochs[0]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists what is mapped")
def test_tensors_of_a_file_are_mapped(tmp_path: Path) -> None:
    """Rows that are not read take no memory."""
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": torch.zeros(1000), "b": torch.ones(1000)}, {})
    tensors, _ = read_tensors(path)
    lines = [
        line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines() if str(path) in line
    ]
    spans = [range(int(first, 16), int(last, 16)) for first, last in lines]
    assert all(any(value.data_ptr() in span for span in spans) for value in tensors.values())
