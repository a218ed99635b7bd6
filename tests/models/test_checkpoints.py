"""Foreign weights: accepted in the usual wrappings, refused in one line otherwise."""

from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor

from wmdd.errors import ConfigError
from wmdd.models import checkpoints
from wmdd.models.building import build_model, resolve_spec
from wmdd.models.checkpoints import load_checkpoint, pretrained_model
from wmdd.values import ModelSpec

SPEC = resolve_spec("convnet1_w8_bn", num_classes=3, channels=3, image_size=8)
TINY = "timm:test_resnet"


@pytest.fixture
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return build_model(SPEC).state_dict()


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert list(left) == list(right)
    assert all(torch.equal(left[key], right[key]) for key in left)


def refused(path: Path, spec: ModelSpec = SPEC, classes: list[str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_checkpoint(path, spec, classes)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_wrappings_are_taken_off(tmp_path: Path, weights: dict[str, Tensor], wrapper: str | None, prefix: str) -> None:
    content = {prefix + key: value for key, value in weights.items()}
    torch.save(content if wrapper is None else {wrapper: content, "epoch": 3}, tmp_path / "x.pt")
    assert_same(load_checkpoint(tmp_path / "x.pt", SPEC), weights)


def test_safetensors(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    safetensors.torch.save_file(weights, tmp_path / "x.safetensors")
    loaded = load_checkpoint(str(tmp_path / "x.safetensors"), SPEC)
    assert_same(dict(sorted(loaded.items())), dict(sorted(weights.items())))


def test_loading_leaves_the_random_stream_alone(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save(weights, tmp_path / "x.pt")
    before = torch.get_rng_state()
    load_checkpoint(tmp_path / "x.pt", SPEC)
    assert torch.equal(before, torch.get_rng_state())


class Evil:
    def __reduce__(self):
        return (print, ("code was run",))


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors"])
def test_unreadable_files(tmp_path: Path, name: str) -> None:
    assert "not found" in refused(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    assert "cannot be read" in refused(tmp_path / name)
    (tmp_path / name).write_bytes(b"not a checkpoint at all")
    assert "cannot be read" in refused(tmp_path / name)


def test_no_code_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": Evil()}, tmp_path / "x.pt")
    assert "cannot be read" in refused(tmp_path / "x.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}])
def test_files_that_hold_something_else(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "x.pt")
    assert "is no state dict" in refused(tmp_path / "x.pt")


def test_another_architecture(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save(weights, tmp_path / "x.pt")
    deeper = resolve_spec("convnet2_w8_bn", num_classes=3, channels=3, image_size=8)
    assert "7 keys missing and 0 extra (first missing 'blocks.4.weight')" in refused(tmp_path / "x.pt", deeper)
    plain = resolve_spec("convnet1_w8_in", num_classes=3, channels=3, image_size=8)
    assert "0 keys missing and 3 extra" in refused(tmp_path / "x.pt", plain)
    wider = resolve_spec("convnet1_w16_bn", num_classes=3, channels=3, image_size=8)
    assert "'blocks.0.weight' of shape (8, 3, 3, 3) instead of (16, 3, 3, 3)" in refused(tmp_path / "x.pt", wider)
    larger = resolve_spec("convnet1_w8_bn", num_classes=3, channels=3, image_size=16)
    assert "'classifier.weight' of shape (3, 128) instead of (3, 512)" in refused(tmp_path / "x.pt", larger)


def test_another_class_count(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save(weights, tmp_path / "x.pt")
    ten = resolve_spec("convnet1_w8_bn", num_classes=10, channels=3, image_size=8)
    assert "checkpoint has 3 classes, the data have 10" in refused(tmp_path / "x.pt", ten)


def test_class_names_in_the_file_must_agree(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save({"state_dict": weights, "classes": ["a", "b", "c"]}, tmp_path / "x.pt")
    assert_same(load_checkpoint(tmp_path / "x.pt", SPEC, ["a", "b", "c"]), weights)
    assert_same(load_checkpoint(tmp_path / "x.pt", SPEC), weights)
    assert "got 'b' where the data have 'c'" in refused(tmp_path / "x.pt", classes=["a", "c", "b"])
    assert "got '3 classes' where the data have '2'" in refused(tmp_path / "x.pt", classes=["a", "b"])


@pytest.mark.parametrize(
    ("arch", "stem", "words"),
    [
        ("convnet3", "imagenet", "timm has no pretrained weights for convnet3"),
        ("shufflenetv2", "imagenet", "timm has no pretrained weights for shufflenetv2"),
        ("resnet18", "small", "belong to the imagenet stem"),
    ],
)
def test_pretrained_weights_that_do_not_exist(arch: str, stem: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        pretrained_model(resolve_spec(arch, num_classes=3, channels=3, image_size=64, stem=stem))


def tiny_spec(num_classes: int, channels: int = 3) -> ModelSpec:
    return resolve_spec(TINY, num_classes=num_classes, channels=channels, image_size=64, stem="imagenet")


def test_no_network_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(checkpoints, "urlopen", fail)
    monkeypatch.setattr(checkpoints, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(checkpoints.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(
        ConfigError, match=r"cannot load the pretrained weights of timm:test_resnet; got .*no route to host"
    ):
        pretrained_model(tiny_spec(3))


def test_a_server_that_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: object, **_: object) -> None:
        raise HTTPError("address", 404, "gone", None, None)  # pyright: ignore[reportArgumentType]

    def create(*_: object, **__: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(checkpoints, "urlopen", fail)
    monkeypatch.setattr(checkpoints, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(checkpoints.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(checkpoints.timm, "create_model", create)
    with pytest.raises(ConfigError, match="got first line second line; connect once"):
        pretrained_model(tiny_spec(3))


@pytest.mark.parametrize(("classes", "complete"), [(1000, True), (5, False)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pretrained_weights_from_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, classes: int, complete: bool, channels: int
) -> None:
    source = timm.create_model("test_resnet").state_dict()
    safetensors.torch.save_file(source, tmp_path / "model.safetensors")
    monkeypatch.setattr(checkpoints, "try_to_load_from_cache", lambda *_: str(tmp_path / "model.safetensors"))
    found = pretrained_model(tiny_spec(classes, channels))
    state = found.model.state_dict()
    assert found.complete is complete
    assert len(found.mean) == len(found.std) == channels
    assert torch.equal(state["layer1.0.conv1.weight"], source["layer1.0.conv1.weight"])
    assert state["fc.weight"].shape[0] == classes
    assert torch.equal(state["fc.weight"], source["fc.weight"]) == complete if classes == 1000 else True
