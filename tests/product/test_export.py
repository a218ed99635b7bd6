"""What others read: `datasets`, `torchvision`, safetensors, plain pyarrow; and how folders are written."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors import safe_open
from torch import Tensor
from torchvision.datasets import ImageFolder

from wmdd.data.views import epoch_views
from wmdd.errors import ArtifactError, ConfigError
from wmdd.product import writing
from wmdd.product.folders import folder_names
from wmdd.product.png import decode_png
from wmdd.product.reading import load
from wmdd.product.writing import export_set, write_product
from wmdd.settings import ViewSettings
from wmdd.values import DistilledSet, EpochLabels, SoftLabels

SIDE, IPC, EPOCHS = 6, 2, 4
CLASSES = ("zebra", "café", "9/11?")
FACTS: dict[str, Any] = {
    "data": "zoo",
    "teacher": {"arch": "resnet18", "top1": 87.65},
    "title": "WMDD",
    "bibtex": "@inproceedings{liu2025wmdd,\n}\n",
    "results": [
        ("wmdd", "2", "convnet3", "wmdd", "soft", "61.0 ± 1.4", "55.9 to 65.9", "2", "0.24 (0.10 to 0.38)"),
        ("random", "2", "convnet3", "wmdd", "soft", "50.0", "44.9 to 55.1", "1", "–"),
    ],
    "tested": 360,
    "split": "1,437 training and 360 test images of 3 classes; 20 % of each class held out for the test",
    "networks": {"convnet3": "three blocks"},
    "protocols": {"wmdd, soft labels": {"epochs": "300", "optimiser": "AdamW"}},
    "drawn": "whole images",
    "machine": "cpu, networks in fp32",
    "settings": {"recover": {"lr": 0.25}},
    "command": "wmdd distill zoo --ipc 2",
    "versions": {"wmdd": "0.1.0"},
    "license": "zoo-terms",
}


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_set(classes: tuple[str, ...] = CLASSES, channels: int = 3, ipc: int = IPC) -> DistilledSet:
    count = len(classes) * ipc
    return DistilledSet(
        method="wmdd",
        images=torch.randint(256, (count, channels, SIDE, SIDE), generator=stream(0), dtype=torch.uint8),
        labels=torch.arange(len(classes)).repeat_interleave(ipc),
        weights=torch.tensor([0.25, 0.75]).repeat(len(classes)) if ipc == IPC else torch.full((count,), 1 / ipc),
        classes=classes,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )


def make_labels(store: str = "full") -> SoftLabels:
    count = len(CLASSES) * IPC
    epochs: list[EpochLabels] = []
    for number in range(EPOCHS):
        views = epoch_views(
            count, 4, SIDE, SIDE, ViewSettings(cutmix=1), generator_for=stream, shuffle=stream(90 + number)
        )
        logits = torch.randn(count, len(CLASSES), generator=stream(number)).half()
        top = logits.topk(1, dim=1)
        parts: Mapping[str, Tensor | None] = {
            "full": {"logits": logits},
            "online": {"logits": None},
            "topk": {"logits": top.values, "classes": top.indices.int(), "rest": logits[:, 0]},
        }[store]
        epochs.append(EpochLabels(views=views, **parts))
    plain = torch.randn(count, len(CLASSES), generator=stream(7))
    return SoftLabels(
        store=store, batch=4, temperature=20.0, num_classes=len(CLASSES), epochs=epochs, plain=plain, num_bytes=0
    )


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def product(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "distilled"
    write_product(make_set(), make_labels(), folder, facts=FACTS)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf" / "datasets"))
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf" / "datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    datasets.disable_progress_bars()
    yield datasets
    datasets.enable_progress_bars()


def test_layout(product: Path) -> None:
    assert list(files_of(product)) == [
        "README.md",
        "data/train-00000-of-00001.parquet",
        "fkd/train-00000.parquet",
        "manifest.json",
        "preview.png",
    ]
    assert [path.name for path in product.parent.iterdir()] == ["distilled"]


@pytest.mark.parametrize("store", ["full", "topk", "online"])
def test_the_same_set_gives_the_same_bytes(tmp_path: Path, store: str) -> None:
    for name in ("a", "b"):
        write_product(make_set(), make_labels(store), tmp_path / name, facts=FACTS)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_datasets_reads_the_images(product: Path, hub: ModuleType) -> None:
    rows = hub.load_dataset(str(product), split="train")
    small = make_set()
    assert rows.column_names == ["image", "label", "weight", "soft_label"]
    assert rows.features["label"].names == list(CLASSES)
    assert rows["label"][:] == small.labels.tolist()
    assert rows["weight"][:] == small.weights.tolist()
    pixels = torch.stack([decode_png_image(row["image"]) for row in rows])
    assert torch.equal(pixels, small.images)
    assert torch.equal(torch.tensor(rows["soft_label"][:]), make_labels().plain)


def test_datasets_reads_views_and_labels(product: Path, hub: ModuleType) -> None:
    rows = hub.load_dataset(str(product), "fkd", split="train")
    epochs = make_labels().epochs
    assert len(rows) == EPOCHS * len(CLASSES) * IPC
    assert rows["epoch"][:] == [number for number in range(EPOCHS) for _ in range(len(CLASSES) * IPC)]
    assert rows["crop"][:] == torch.cat([epoch.views.crop for epoch in epochs]).tolist()
    assert rows["flip"][:] == torch.cat([epoch.views.flip for epoch in epochs]).tolist()
    assert rows["logits"][:] == torch.cat([_some(epoch.logits) for epoch in epochs]).tolist()
    assert rows.features["logits"].feature.dtype == "float16"


def test_pyarrow_alone_reads_the_images(product: Path) -> None:
    table = pq.read_table(product / "data" / "train-00000-of-00001.parquet")
    pictures = table.column("image").to_pylist()
    assert torch.equal(_stacked(row["bytes"] for row in pictures), make_set().images)
    assert pictures[3]["path"] == "00001_0001.png"


def test_many_files_and_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_FILE_BYTES", 1500)
    monkeypatch.setattr(writing, "_ROW_GROUP", 4)
    write_product(make_set(), make_labels(), tmp_path / "set", facts={})
    files = sorted((tmp_path / "set" / "fkd").iterdir())
    assert 1 < len(files) < EPOCHS
    assert sum(pq.ParquetFile(file).num_row_groups for file in files) == EPOCHS
    labels = load(tmp_path / "set").soft_labels
    assert labels is not None
    assert len(labels.epochs) == EPOCHS
    for got, expected in zip(labels.epochs, make_labels().epochs, strict=True):
        assert torch.equal(_some(got.logits), _some(expected.logits))


def test_an_older_product_is_replaced(product: Path) -> None:
    write_product(make_set(), make_labels("online"), product, facts={})
    assert _some(load(product).soft_labels).store == "online"
    assert [path.name for path in product.parent.iterdir()] == ["distilled"]


def test_a_failure_leaves_the_older_product(product: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_of(product)

    def fail(*_: object) -> bytes:
        raise OSError("disk full")

    monkeypatch.setattr(writing, "preview", fail)
    with pytest.raises(OSError, match="disk full"):
        write_product(make_set(), None, product, facts={})
    assert files_of(product) == before
    assert [path.name for path in product.parent.iterdir()] == ["distilled"]


def test_a_kill_between_the_renames_is_mended(product: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    product.rename(product.with_name(".distilled.old"))
    (product.with_name(".distilled.writing")).mkdir()
    monkeypatch.setattr(writing, "preview", _stop)
    with pytest.raises(KeyboardInterrupt):
        write_product(make_set(), None, product, facts={})
    assert load(product).soft_labels is not None


def _stop(*_: object) -> bytes:
    raise KeyboardInterrupt


def test_other_peoples_files_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(ArtifactError, match="will not replace"):
        write_product(make_set(), None, tmp_path, facts={})
    assert (tmp_path / "precious.txt").exists()


def test_card(product: Path) -> None:
    text = (product / "README.md").read_text("utf-8")
    _, head, body = text.split("---\n", 2)
    facts = yaml.safe_load(head)
    assert facts["pretty_name"] == "zoo distilled by WMDD, 2 images a class"
    assert facts["license_name"] == "zoo-terms"
    assert facts["size_categories"] == ["n<1K"]
    assert [config["config_name"] for config in facts["configs"]] == ["default", "fkd"]
    assert "| wmdd | 2 | convnet3 | wmdd | soft | 61.0 ± 1.4 | 55.9 to 65.9 | 2 |" in body
    assert "| random | 2 | convnet3 | wmdd | soft | 50.0 | 44.9 to 55.1 | 1 |" in body
    for piece in (
        *("resnet18", "87.7 %", "wmdd distill zoo --ipc 2", "lr: 0.25", "wmdd 0.1.0", "T = 20", "Citation"),
        *(
            "360 of the source's real test images",
            "Data: 1,437 training and 360 test images",
            "20 % of each class held",
        ),
        *("- `convnet3`: three blocks", "`wmdd, soft labels`:\n\n- epochs: 300\n- optimiser: AdamW\n"),
        *("Views of config `fkd`: whole images.", "Machine: cpu, networks in fp32."),
    ):
        assert piece in body
    shape = (3, len(CLASSES) * (SIDE + 1), IPC * (SIDE + 1))
    preview = torch.from_numpy(decode_png((product / "preview.png").read_bytes(), shape))
    assert torch.equal(preview[:, :SIDE, :SIDE], make_set().images[0])


@pytest.mark.parametrize(("store", "words"), [("topk", "mean logit of all others"), ("online", "no logits")])
def test_card_explains_the_store(tmp_path: Path, store: str, words: str) -> None:
    write_product(make_set(), make_labels(store), tmp_path / "set", facts={})
    assert words in (tmp_path / "set" / "README.md").read_text("utf-8")


def test_card_of_little_known_things(tmp_path: Path) -> None:
    write_product(make_set(channels=1, ipc=1), None, tmp_path / "set", facts={})
    text = (tmp_path / "set" / "README.md").read_text("utf-8")
    assert "Images distilled by wmdd, 1 image a class" in text
    assert "bibtex" not in text
    assert "fkd" not in text.split("---\n")[1]
    assert "## Results" not in text


def test_card_tells_what_the_images_are(tmp_path: Path) -> None:
    drawn = replace(make_set(), method="herding")
    write_product(drawn, None, tmp_path / "real", facts={"source": "A, arXiv:1611.07725; B", "real": True})
    text = (tmp_path / "real" / "README.md").read_text("utf-8")
    assert yaml.safe_load(text.split("---\n")[1])["tags"][2:] == ["herding", "arxiv:1611.07725"]
    assert "The images are real ones" in text
    assert "A, arXiv:1611.07725; B" in text
    assert "bibtex" not in text
    facts = {"source": "arXiv:2311.18531", "real": False, "bibtex": FACTS["bibtex"]}
    write_product(make_set(), make_labels(), tmp_path / "made", facts=facts)
    text = (tmp_path / "made" / "README.md").read_text("utf-8")
    assert yaml.safe_load(text.split("---\n")[1])["tags"][2:] == ["synthetic", "wmdd", "arxiv:2311.18531"]
    assert "not\nphotographs" in text
    assert "```bibtex\n@inproceedings{liu2025wmdd,\n}\n@inproceedings{shen2022fkd,\n" in text


def test_manifest_names_every_data_file(product: Path) -> None:
    manifest = json.loads((product / "manifest.json").read_text("utf-8"))
    assert {entry["path"]: entry["size"] for entry in manifest["files"]} == {
        name: len(content) for name, content in files_of(product).items() if name.endswith(".parquet")
    }
    assert manifest["num_epochs"] == EPOCHS
    assert manifest["temperature"] == 20
    assert manifest["classes"] == list(CLASSES)


@pytest.mark.parametrize("classes", [CLASSES, ("a", "b", "c"), tuple(f"c{k}" for k in range(11))])
@pytest.mark.parametrize("channels", [1, 3])
def test_imagefolder_has_the_sets_labels(tmp_path: Path, classes: tuple[str, ...], channels: int) -> None:
    small = make_set(classes, channels)
    export_set(small, tmp_path / "out", "imagefolder")
    read = ImageFolder(str(tmp_path / "out" / "train"))
    assert read.targets == small.labels.tolist()
    pixels = torch.stack([decode_png_image(image)[:channels] for image, _ in read])
    assert torch.equal(pixels, small.images)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (("a", "b"), ["a", "b"]),
        (("b", "a"), ["0_b", "1_a"]),
        (("A", "a"), ["0_A", "1_a"]),
        (("x/y", "x?y"), ["0_x_y", "1_x_y"]),
        ((" .. ", "b"), ["0_class", "1_b"]),
        (tuple("kjihgfedcba"), [f"{k:02d}_{name}" for k, name in enumerate("kjihgfedcba")]),
    ],
)
def test_folder_names(classes: tuple[str, ...], expected: list[str]) -> None:
    assert folder_names(classes) == expected
    assert sorted(folder_names(classes)) == expected


def test_export_parquet(product: Path, tmp_path: Path, hub: ModuleType) -> None:
    export_set(load(product), tmp_path / "out", "parquet", facts={"title": "WMDD"})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", "data", "preview.png"]
    assert "# Images distilled by WMDD, 2 images a class\n" in (tmp_path / "out" / "README.md").read_text("utf-8")
    rows = hub.load_dataset(str(tmp_path / "out"), split="train")
    assert rows.features["label"].names == list(CLASSES)
    assert "soft_label" in rows.column_names
    export_set(make_set(), tmp_path / "plain", "parquet")
    assert "soft_label" not in pq.read_schema(next((tmp_path / "plain" / "data").iterdir())).names


def test_export_safetensors(tmp_path: Path) -> None:
    small = make_set()
    for name in ("a", "b"):
        export_set(small, tmp_path / name, "safetensors")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    with safe_open(tmp_path / "a" / "distilled.safetensors", framework="pt") as file:
        for name in ("images", "labels", "weights"):
            assert torch.equal(file.get_tensor(name), getattr(small, name))
        assert json.loads(file.metadata()["wmdd"])["classes"] == list(CLASSES)


def test_export_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("x")
    for to in (tmp_path / "used", tmp_path / "used" / "file"):
        with pytest.raises(ConfigError, match="new or empty folder"):
            export_set(make_set(), to, "safetensors")
    (tmp_path / "empty").mkdir()
    export_set(make_set(), tmp_path / "empty", "safetensors")
    with pytest.raises(ConfigError, match="unknown export format"):
        export_set(make_set(), tmp_path / "new", "zip")  # pyright: ignore[reportArgumentType]
    assert not (tmp_path / "new").exists()


def decode_png_image(image: Any) -> Tensor:
    """Return the pixels of a Pillow image, `(ch, H, W)`."""
    bands = len(image.getbands())
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(*image.size, bands).permute(2, 0, 1)


def _stacked(pngs: Iterable[bytes]) -> Tensor:
    return torch.stack([torch.from_numpy(decode_png(png, (3, SIDE, SIDE))) for png in pngs])


def _some(value: Any) -> Any:
    assert value is not None
    return value
