"""A distilled set whose checksums are true and whose content is wrong is refused in one line that says where."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from altered import (
    CLASSES,
    COUNT,
    IMAGES,
    LABELS,
    alter_table,
    drawn_labels,
    reseal,
    with_column,
    with_value,
    written,
    written_before,
)
from PIL import Image
from safetensors.torch import load_file, save_file

from wmdd.data.drawing import same_views
from wmdd.errors import ArtifactError
from wmdd.product.manifest import EXACT
from wmdd.product.reading import load
from wmdd.report.gallery import read_gallery


def refusal(read: Callable[[], Any]) -> str:
    with pytest.raises(ArtifactError) as caught:
        read()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 600
    return line


def every_epoch(folder: Path) -> None:
    labels = load(folder).soft_labels
    assert labels is not None
    for _ in labels.epochs:
        pass


@pytest.mark.parametrize(
    ("column", "row", "value", "said"),
    [
        ("label", 3, -5, "-5 in row 3 of column label"),
        ("label", 0, 10**9, "1000000000 in row 0 of column label"),
        ("label", 1, 2, "2 in row 1 of column label"),
        ("label", 5, None, "column label with 1 empty"),
        ("weight", 4, float("nan"), "nan in row 4 of column weight"),
        ("weight", 2, float("inf"), "inf in row 2 of column weight"),
        ("weight", 2, -0.25, "-0.25 in row 2 of column weight"),
        ("weight", 3, 0.5, "weights that sum to 0.75 in class 1, from row 2 of column weight"),
        ("soft_label", 5, [0.0, float("nan"), 0.0], "in row 5 of column soft_label, which is not finite"),
        ("soft_label", 5, None, "column soft_label with 1 empty"),
        ("image", 1, None, "column image with empty rows"),
        ("image", 1, {"bytes": None, "path": "x"}, "column image with empty rows"),
        ("image", 1, {"bytes": b"", "path": "x"}, "no PNG of 8 bits a channel in row 1 of column image"),
        ("image", 2, {"bytes": b"not an image", "path": "x"}, "no PNG of 8 bits a channel in row 2 of column image"),
    ],
)
def test_images_are_checked(column: str, row: int, value: Any, said: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    alter_table(folder, IMAGES, lambda table: with_value(table, column, row, value))
    line = refusal(lambda: load(folder))
    assert said in line
    assert IMAGES in line
    if column != "image":  # the report draws some of the pictures, and checks all values
        assert refusal(lambda: read_gallery(folder, None)) == line


def png(width: int, height: int, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, "png")
    return buffer.getvalue()


def bomb() -> bytes:
    """Return a PNG of a few bytes that says it has 60,000 x 60,000 pixels."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (png(8, 4), "3 x 4 x 8, not 3 x 8 x 8"),
        (png(9, 9), "3 x 9 x 9, not 3 x 8 x 8"),
        (png(8, 8, "L"), "1 x 8 x 8, not 3 x 8 x 8"),
        (png(8, 8, "P"), "no PNG of 8 bits a channel"),
        (png(8, 8, "I;16"), "no PNG of 8 bits a channel"),
        (png(8, 8)[:-30], "in row 0 of column image"),
        (png(8, 8)[:33] + bytes(50), "in row 0 of column image"),
        (bomb(), "3 x 60000 x 60000, not 3 x 8 x 8"),
    ],
)
def test_pictures_are_checked(content: bytes, said: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    alter_table(folder, IMAGES, lambda table: with_value(table, "image", 0, {"bytes": content, "path": "x"}))
    line = refusal(lambda: load(folder))
    assert said in line
    assert refusal(lambda: read_gallery(folder, None)) == line


@pytest.mark.parametrize(
    ("column", "row", "value", "said"),
    [
        ("index", 3, -1, "-1 in row 3 of column index"),
        ("index", 3, COUNT, f"{COUNT} in row 3 of column index"),
        ("index", 3, None, "column index with 1 empty"),
        ("partner", 0, COUNT, f"{COUNT} in row 0 of column partner"),
        ("epoch", 2, 7, "7 in row 2 of column epoch"),
        ("crop", 1, [0, 0, 32000, 8], "[0, 0, 32000, 8] in row 1 of column crop, which is not a box"),
        ("crop", 1, [0, 0, 0, 8], "[0, 0, 0, 8] in row 1 of column crop"),
        ("crop", 1, [-1, 0, 4, 4], "[-1, 0, 4, 4] in row 1 of column crop"),
        ("partner_crop", 4, [4, 4, 5, 4], "[4, 4, 5, 4] in row 4 of column partner_crop"),
        ("patch", 4, [0, 0, -2, 4], "[0, 0, -2, 4] in row 4 of column patch"),
        ("patch", 4, [7, 7, 2, 2], "[7, 7, 2, 2] in row 4 of column patch"),
        ("flip", 4, None, "column flip with 1 empty"),
        ("logits", 5, [0.0, float("nan"), 1.0], "in row 5 of column logits, which is not finite"),
        ("logits", 5, [0.0, float("inf"), 1.0], "in row 5 of column logits, which is not finite"),
    ],
)
def test_epochs_are_checked(column: str, row: int, value: Any, said: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    alter_table(folder, LABELS, lambda table: with_value(table, column, row, value))
    load(folder)  # epochs are read on demand
    line = refusal(lambda: every_epoch(folder))
    assert said in line
    assert LABELS in line


def test_an_image_must_be_in_an_epoch_once(tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    alter_table(folder, LABELS, lambda table: with_value(table, "index", 0, table.column("index")[1].as_py()))
    assert "which is not an image that is there once" in refusal(lambda: every_epoch(folder))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("classes", [0, 3], "[0, 3] in row 1 of column classes, which is not of 3 classes"),
        ("classes", [-1, 0], "[-1, 0] in row 1 of column classes"),
        ("classes", [2, 2], "[2, 2] in row 1 of column classes, which is not a list of different classes"),
        ("rest", float("nan"), "nan in row 1 of column rest"),
        ("logits", [float("nan"), 0.0], "in row 1 of column logits"),
    ],
)
def test_the_largest_logits_are_checked(column: str, value: Any, said: str, tmp_path: Path) -> None:
    folder = written_before(tmp_path / "set", "topk")
    alter_table(folder, LABELS, lambda table: with_value(table, column, 1, value))
    assert said in refusal(lambda: every_epoch(folder))


def other_type(column: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: with_column(table, column, pa.array(["x"] * len(table)))


@pytest.mark.parametrize("column", ["image", "label", "weight", "soft_label"])
def test_columns_of_images(column: str, tmp_path: Path) -> None:
    for number, change in enumerate((other_type(column), lambda table: table.drop_columns([column]))):
        folder = written(tmp_path / f"set{number}")
        alter_table(folder, IMAGES, change)
        assert column in refusal(lambda folder=folder: load(folder))


@pytest.mark.parametrize("column", ["epoch", "index", "crop", "flip", "partner_flip", "patch", "logits"])
def test_columns_of_epochs(column: str, tmp_path: Path) -> None:
    for number, change in enumerate((other_type(column), lambda table: table.drop_columns([column]))):
        folder = written(tmp_path / f"set{number}")
        alter_table(folder, LABELS, change)
        assert column in refusal(lambda folder=folder: every_epoch(folder))


@pytest.mark.parametrize("file", [IMAGES, LABELS])
@pytest.mark.parametrize("rows", [0, COUNT - 1, COUNT + 1])
def test_another_number_of_rows(file: str, rows: int, tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    alter_table(folder, file, lambda table: pa.concat_tables([table, table]).slice(0, rows))
    assert any(said in refusal(lambda: every_epoch(folder)) for said in ("rows", "tables of 5 images", "row groups"))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("exact", lambda values: values.fill_(float("nan")), "in row 0 of column exact"),
        ("exact", lambda values: values[:2], "exact of torch.float32 (2, 3, 8, 8)"),
        ("exact", lambda values: values.double(), "exact of torch.float64"),
        ("targets", lambda values: values[:, :2], "targets of torch.float32 (6, 2)"),
        ("targets", lambda values: values / 0, "in row 0 of column targets"),
        ("rates", lambda values: values[:0], "rates of torch.float32 (0,)"),
        ("rates", lambda values: values * float("inf"), "inf in row 0 of column rates"),
        (
            "whitening",
            lambda _: torch.zeros(192, 192),
            "whitening of torch.float32 (192, 192), not torch.float32 (193, ",
        ),
        ("more", lambda _: torch.zeros(1), "values called 'more'"),
    ],
)
def test_exact_values_are_checked(name: str, change: Callable[[Any], torch.Tensor], said: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    tensors = load_file(folder / EXACT)
    save_file({**tensors, name: change(tensors.get(name)).contiguous()}, folder / EXACT)
    reseal(folder)
    line = refusal(lambda: load(folder))
    assert said in line
    assert EXACT in line


@pytest.mark.parametrize("file", [IMAGES, LABELS, EXACT])
@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 9, b"\xff" * 100, b"\x08" + bytes(7) + b"[[[[[[[["])
def test_files_of_another_kind(file: str, content: bytes, tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    (folder / file).write_bytes(content)
    reseal(folder)
    assert f"{file}: damaged; got " in refusal(lambda: every_epoch(folder))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"ipc": 0}, "ipc: Input should be greater than 0"),
        ({"ipc": 3}, "tables of 6 images, not 9"),
        ({"ipc": "2"}, "ipc: Input should be a valid integer"),
        ({"classes": []}, "classes: Tuple should have at least 1 item"),
        ({"classes": ["cat", "dog"]}, "tables of 6 images, not 4"),
        ({"image_size": 10**6}, "image_size: Input should be less than"),
        ({"image_size": 7}, "3 x 8 x 8, not 3 x 7 x 7"),
        ({"channels": 1, "mean": [0.5], "std": [0.5]}, "3 x 8 x 8, not 1 x 8 x 8"),
        ({"channels": 1}, "mean of 3 channels, not 1"),
        ({"std": [0.2, 0.0, 0.3]}, "std.1: Input should be greater than 0"),
        ({"mean": [0.2, float("nan"), 0.3]}, "mean.1: Input should be a finite number"),
        ({"temperature": 0}, "temperature: Input should be greater than 0"),
        ({"temperature": float("inf")}, "temperature: Input should be a finite number"),
        ({"temperature": None}, "without store, batch or temperature"),
        ({"store": "some"}, "store: Input should be 'full', 'topk' or 'online'"),
        ({"store": "online"}, "columns ['logits'] of answers under store online"),
        ({"num_epochs": 3}, "files with 2 epochs, not 3"),
        ({"files": []}, "files with 0 epochs"),
        ({"files": [], "num_epochs": 0}, "tables of 0 images, not 6"),
    ],
)
def test_facts_of_the_manifest_are_checked(facts: dict[str, Any], said: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    reseal(folder, **facts)
    assert said in refusal(lambda: every_epoch(folder))


@pytest.mark.parametrize("content", ["{}", "[]", "", "\0", "[" * 5000, '{"format": "wmdd-distilled"}', '{"format": 1}'])
def test_manifests_of_another_kind(content: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "run" / "distilled")
    (folder / "manifest.json").write_text(content)
    for path in (folder, folder.parent):
        refusal(lambda path=path: load(path))
    refusal(lambda: read_gallery(folder, None))


def test_a_changed_manifest_is_noticed_and_another_layout_of_it_is_not(tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    (folder / "manifest.json").write_text(json.dumps(manifest, sort_keys=True))
    assert load(folder).classes == CLASSES
    (folder / "manifest.json").write_text(json.dumps({**manifest, "temperature": 2.0}))
    assert "its own checksum" in refusal(lambda: load(folder))


def test_the_first_layout_without_a_checksum_is_still_read(tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    del manifest["sha256"]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "schema": 1}))
    every_epoch(folder)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "its own checksum" in refusal(lambda: load(folder))


@pytest.mark.parametrize("path", ["../outside.parquet", "data/../../outside.parquet", "/ABSOLUTE", "data\\x", "a\0b"])
def test_paths_that_lead_out_are_refused(path: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    outside = tmp_path / "outside.parquet"
    (folder / IMAGES).rename(outside)
    _replace_path(folder, path.replace("/ABSOLUTE", str(outside)))
    assert "leads out of the set's folder" in refusal(lambda: load(folder))
    assert "leads out of the set's folder" in refusal(lambda: read_gallery(folder, None))


def _replace_path(folder: Path, path: str) -> None:
    from wmdd.product.manifest import write_manifest

    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["files"][0]["path"] = path
    write_manifest(folder, manifest)


def test_links_that_lead_out_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    (folder / IMAGES).rename(tmp_path / "outside.parquet")
    (folder / IMAGES).symlink_to(tmp_path / "outside.parquet")
    assert "leads out of the set's folder" in refusal(lambda: load(folder))
    (folder / IMAGES).unlink()
    (folder / IMAGES).symlink_to(folder / IMAGES)
    assert IMAGES in refusal(lambda: load(folder))


def test_links_within_the_set_and_to_it_are_followed(tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    (folder / IMAGES).rename(folder / "data" / "real")
    (folder / IMAGES).symlink_to("real")
    (tmp_path / "link").symlink_to(folder)
    every_epoch(tmp_path / "link")


@pytest.mark.parametrize("store", ["topk", "online"])
def test_sets_of_before_compact_labels_are_read(store: str, tmp_path: Path) -> None:
    found = load(written_before(tmp_path / "set", store)).soft_labels
    assert found is not None
    for epoch, expected in zip(found.epochs, drawn_labels(store).epochs, strict=True):
        assert same_views(epoch.views, expected.views)
        assert epoch.answers().keys() == expected.answers().keys()
        assert all(torch.equal(value, expected.answers()[name]) for name, value in epoch.answers().items())


def test_topk_of_few_classes_keeps_all_logits(tmp_path: Path) -> None:
    folder = written(tmp_path / "set")
    reseal(folder, store="topk")
    every_epoch(folder)


def test_the_hubs_cache_is_read(tmp_path: Path) -> None:
    """Its snapshots are folders of links to `blobs`, two folders further up."""
    folder = written(tmp_path / "datasets--me--small" / "snapshots" / "0123abcd")
    blobs = tmp_path / "datasets--me--small" / "blobs"
    blobs.mkdir()
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        path.rename(blobs / str(number))
        path.symlink_to(blobs / str(number))
    every_epoch(folder)
