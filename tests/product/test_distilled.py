"""A distilled set comes back from its folder as it went in, and its loader replays the stored views."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from plain_views import apply_views
from wmdd.data.loading import to_float
from wmdd.data.views import cutmix_share, epoch_views
from wmdd.errors import ArtifactError, ConfigError, DataError
from wmdd.product.labels import epoch_from_table, epoch_table, soft_targets
from wmdd.product.manifest import write_manifest
from wmdd.product.png import decode_png, encode_png
from wmdd.product.reading import PortableSet, load
from wmdd.product.writing import write_product
from wmdd.settings import ViewSettings
from wmdd.values import DistilledSet, EpochLabels, SoftLabels, Views

SIDE, IPC, EPOCHS, TEMPERATURE = 8, 4, 3, 20.0
CLASSES = ("cat", "dog", "eel")
TOP = 2


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_set(channels: int = 3) -> DistilledSet:
    count = len(CLASSES) * IPC
    raw = torch.rand(len(CLASSES), IPC, generator=stream(1))
    return DistilledSet(
        method="wmdd",
        images=torch.randint(256, (count, channels, SIDE, SIDE), generator=stream(0), dtype=torch.uint8),
        labels=torch.arange(len(CLASSES)).repeat_interleave(IPC),
        weights=(raw / raw.sum(1, keepdim=True)).flatten(),
        classes=CLASSES,
        mean=(0.5, 0.4, 0.3)[:channels],
        std=(0.2, 0.25, 0.3)[:channels],
    )


def make_epoch(number: int, store: str) -> EpochLabels:
    count, settings = len(CLASSES) * IPC, ViewSettings(cutmix=1.0)
    views = epoch_views(
        count, 5, SIDE, SIDE, settings, generator_for=lambda b: stream(100 * number + b), shuffle=stream(number)
    )
    logits = torch.randn(count, len(CLASSES), generator=stream(50 + number))
    if store == "online":
        return EpochLabels(views=views, logits=None)
    if store == "full":
        return EpochLabels(views=views, logits=logits.half())
    top = logits.topk(TOP, dim=1)
    rest = (logits.sum(1) - top.values.sum(1)) / (len(CLASSES) - TOP)
    return EpochLabels(views=views, logits=top.values.half(), classes=top.indices.int(), rest=rest.half())


def make_labels(store: str = "full") -> SoftLabels:
    return SoftLabels(
        store=store,
        batch=5,
        temperature=TEMPERATURE,
        num_classes=len(CLASSES),
        epochs=[make_epoch(number, store) for number in range(EPOCHS)],
        plain=torch.randn(len(CLASSES) * IPC, len(CLASSES), generator=stream(7)),
        num_bytes=0,
    )


def equal(left: Tensor | None, right: Tensor | None) -> bool:
    if left is None or right is None:
        return left is right
    return left.dtype == right.dtype and torch.equal(left, right)


def same_epoch(left: EpochLabels, right: EpochLabels) -> bool:
    views = all(equal(getattr(left.views, name), getattr(right.views, name)) for name in Views.__slots__)
    return views and all(equal(getattr(left, name), getattr(right, name)) for name in ("logits", "classes", "rest"))


def stored(folder: Path, store: str = "full") -> PortableSet:
    write_product(make_set(), make_labels(store), folder / "distilled", facts={})
    return load(folder)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_is_exact(channels: int) -> None:
    image = torch.randint(256, (channels, 5, 7), dtype=torch.uint8, generator=stream(0))
    assert torch.equal(torch.from_numpy(decode_png(encode_png(image), (channels, 5, 7))), image)


def test_png_of_five_channels_is_refused() -> None:
    with pytest.raises(DataError, match="got 5"):
        encode_png(torch.zeros(5, 2, 2, dtype=torch.uint8))


@pytest.mark.parametrize("store", ["full", "online"])
def test_table_of_an_epoch_comes_back(store: str) -> None:
    epoch = make_epoch(1, store)
    assert same_epoch(epoch_from_table(epoch_table(1, epoch)), epoch)
    assert same_epoch(epoch_from_table(epoch_table(1, epoch).slice(3, 4)), epoch.rows(3, 7))


def test_full_logits_are_the_targets() -> None:
    epoch = make_epoch(0, "full")
    assert epoch.logits is not None
    assert torch.equal(soft_targets(epoch, len(CLASSES)), epoch.logits.float())


def test_the_largest_logits_are_expanded_by_the_mean_of_the_rest() -> None:
    epoch = replace(
        make_epoch(0, "full"),
        logits=torch.tensor([[3.0, 2.0], [5.0, 4.0]]).half(),
        classes=torch.tensor([[1, 3], [0, 2]], dtype=torch.int32),
        rest=torch.tensor([-1.0, -2.0]).half(),
    )
    expected = torch.tensor([[-1.0, 3, -1, 2], [5, -2, 4, -2]])
    assert torch.equal(soft_targets(epoch, 4), expected)


def test_with_all_but_one_class_kept_the_expansion_is_exact() -> None:
    full, cut = make_epoch(0, "full"), make_epoch(0, "topk")
    torch.testing.assert_close(soft_targets(cut, len(CLASSES)), soft_targets(full, len(CLASSES)), atol=5e-3, rtol=0)


def test_no_logits_no_targets() -> None:
    with pytest.raises(ArtifactError, match="online"):
        soft_targets(make_epoch(0, "online"), len(CLASSES))


@pytest.mark.parametrize("store", ["full", "topk", "online"])
@pytest.mark.parametrize("channels", [1, 3])
def test_round_trip(tmp_path: Path, store: str, channels: int) -> None:
    before, labels = make_set(channels), make_labels(store)
    write_product(before, labels, tmp_path / "distilled", facts={})
    after = load(tmp_path / "distilled")
    for name in ("images", "labels", "weights"):
        assert equal(getattr(after, name), getattr(before, name))
    for name in ("method", "classes", "mean", "std", "ipc", "image_size"):
        assert getattr(after, name) == getattr(before, name)
    assert after.soft_labels is not None
    assert equal(after.soft_labels.plain, labels.plain)
    for name in ("store", "batch", "temperature", "num_classes"):
        assert getattr(after.soft_labels, name) == getattr(labels, name)
    assert len(after.soft_labels.epochs) == EPOCHS
    assert all(same_epoch(left, right) for left, right in zip(after.soft_labels.epochs, labels.epochs, strict=True))
    assert same_epoch(after.soft_labels.epochs[-1], labels.epochs[-1])
    assert same_epoch(after.soft_labels.epochs[1:][0], labels.epochs[1])
    assert after.soft_labels.num_bytes == sum(file.stat().st_size for file in tmp_path.glob("distilled/fkd/*"))


def test_epochs_beyond_the_stored_ones_are_an_index_error(tmp_path: Path) -> None:
    labels = stored(tmp_path).soft_labels
    assert labels is not None
    with pytest.raises(IndexError):
        labels.epochs[EPOCHS]


def test_a_run_folder_and_its_product_are_the_same_set(tmp_path: Path) -> None:
    assert torch.equal(stored(tmp_path).images, load(str(tmp_path / "distilled")).images)


def test_without_soft_labels(tmp_path: Path) -> None:
    write_product(make_set(), None, tmp_path / "bare", facts={})
    bare = load(tmp_path / "bare")
    assert bare.soft_labels is None
    assert not (tmp_path / "bare" / "fkd").exists()
    with pytest.raises(ArtifactError, match="without soft labels"):
        bare.loader()


def test_loader_replays_the_stored_views(tmp_path: Path) -> None:
    small, labels = stored(tmp_path), make_labels()
    canvas = to_float(small.images, small.mean, small.std)  # what the teacher saw, to the bit
    loader = small.loader(batch_size=5)
    batches = list(loader)
    assert len(loader) == len(batches) == EPOCHS * 3
    assert [len(images) for images, _, _ in batches[:3]] == [5, 5, 2]
    for number, epoch in enumerate(labels.epochs):
        images, targets, weights = (torch.cat(part) for part in zip(*batches[3 * number : 3 * number + 3], strict=True))
        assert torch.equal(images, apply_views(canvas, epoch.views, SIDE))
        assert torch.equal(targets, torch.softmax(soft_targets(epoch, len(CLASSES)) / TEMPERATURE, dim=1))
        torch.testing.assert_close(weights, small.weights[epoch.views.index] * IPC)
        assert images.dtype == targets.dtype == weights.dtype == torch.float32
    torch.testing.assert_close(torch.cat([w for _, _, w in batches[:3]]).mean(), torch.tensor(1.0))


def test_views_do_not_depend_on_the_batch_size(tmp_path: Path) -> None:
    small = stored(tmp_path)
    whole, parts = (torch.cat([images for images, _, _ in small.loader(size, epochs=1)]) for size in (12, 7))
    assert torch.equal(whole, parts)


def test_epochs_beyond_the_stored_ones_come_again(tmp_path: Path) -> None:
    batches = list(stored(tmp_path).loader(batch_size=12, epochs=EPOCHS + 1))
    assert len(batches) == EPOCHS + 1
    assert torch.equal(batches[0][0], batches[EPOCHS][0])
    assert not torch.equal(batches[0][0], batches[1][0])


def test_online_targets_mix_the_plain_answers(tmp_path: Path) -> None:
    small = stored(tmp_path, "online")
    views, plain = make_epoch(0, "online").views, torch.softmax(make_labels().plain / TEMPERATURE, dim=1)
    share = cutmix_share(views, SIDE)[:, None]
    _, targets, _ = next(iter(small.loader(batch_size=12)))
    torch.testing.assert_close(targets, (1 - share) * plain[views.index] + share * plain[views.partner])
    torch.testing.assert_close(targets.sum(1), torch.ones(12))


@pytest.mark.parametrize(("batch_size", "epochs"), [(0, 1), (1, 0)])
def test_loader_refuses_nothing_to_do(tmp_path: Path, batch_size: int, epochs: int) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        stored(tmp_path).loader(batch_size, epochs)


def test_what_is_not_a_distilled_set(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": "something else"}')
    (tmp_path / "file").write_text("")
    for path, got in ((tmp_path, "a folder"), (tmp_path / "file", "a file"), (tmp_path / "none", "nothing")):
        with pytest.raises(ArtifactError, match=f"not a distilled set; got {got}") as caught:
            load(path)
        assert "\n" not in str(caught.value)


def test_changed_images_are_found_at_once(tmp_path: Path) -> None:
    stored(tmp_path)
    _flip_a_byte(next((tmp_path / "distilled" / "data").iterdir()))
    with pytest.raises(ArtifactError, match="damaged; got another SHA-256"):
        load(tmp_path)


def test_changed_labels_are_found_when_read(tmp_path: Path) -> None:
    stored(tmp_path)
    _flip_a_byte(next((tmp_path / "distilled" / "fkd").iterdir()))
    with pytest.raises(ArtifactError, match="damaged; got another SHA-256"):
        next(iter(load(tmp_path).loader()))


def test_missing_and_cut_files_are_found_at_once(tmp_path: Path) -> None:
    stored(tmp_path)
    file = next((tmp_path / "distilled" / "fkd").iterdir())
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="bytes, not"):
        load(tmp_path)
    file.unlink()
    with pytest.raises(ArtifactError, match="got no file"):
        load(tmp_path)


def test_manifests_that_lack_something_or_are_too_new(tmp_path: Path) -> None:
    stored(tmp_path)
    path = tmp_path / "distilled" / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    write_manifest(
        tmp_path / "distilled", {name: manifest[name] for name in manifest if name not in ("mean", "sha256")}
    )
    with pytest.raises(ArtifactError, match="mean: Field required"):
        load(tmp_path)
    path.write_text(json.dumps({**manifest, "schema": 99}))
    with pytest.raises(ArtifactError, match="upgrade wmdd"):
        load(tmp_path)


def _flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
