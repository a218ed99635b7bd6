"""timm's weights: there or not, from the cache, and looked at."""

from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
import safetensors.torch
import timm
import torch

from wmdd.errors import ConfigError
from wmdd.models import pretrained
from wmdd.models.building import resolve_spec
from wmdd.models.pretrained import pretrained_model
from wmdd.values import ModelSpec

TINY = "timm:test_resnet"


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

    monkeypatch.setattr(pretrained, "urlopen", fail)
    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(pretrained.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(
        ConfigError, match=r"cannot load the pretrained weights of timm:test_resnet; got .*no route to host"
    ):
        pretrained_model(tiny_spec(3))


def test_a_server_that_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: object, **_: object) -> None:
        raise HTTPError("address", 404, "gone", None, None)  # pyright: ignore[reportArgumentType]

    def create(*_: object, **__: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(pretrained, "urlopen", fail)
    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(pretrained.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(pretrained.timm, "create_model", create)
    with pytest.raises(ConfigError, match="got first line second line; connect once"):
        pretrained_model(tiny_spec(3))


@pytest.mark.parametrize(("classes", "complete"), [(1000, True), (5, False)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pretrained_weights_from_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, classes: int, complete: bool, channels: int
) -> None:
    source = timm.create_model("test_resnet").state_dict()
    safetensors.torch.save_file(source, tmp_path / "model.safetensors")
    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda *_: str(tmp_path / "model.safetensors"))
    found = pretrained_model(tiny_spec(classes, channels))
    state = found.model.state_dict()
    assert found.complete is complete
    assert [len(values) for values in found.moments] == [channels, channels]
    assert torch.equal(state["layer1.0.conv1.weight"], source["layer1.0.conv1.weight"])
    assert state["fc.weight"].shape[0] == classes
    assert torch.equal(state["fc.weight"], source["fc.weight"]) == complete if classes == 1000 else True


def test_pretrained_weights_that_are_damaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = timm.create_model("test_resnet").state_dict()
    source["bn1.running_var"][2] = float("inf")
    safetensors.torch.save_file(source, tmp_path / "model.safetensors")
    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda *_: str(tmp_path / "model.safetensors"))
    with pytest.raises(ConfigError, match="pretrained weights of timm:test_resnet holds infinity in 'bn1.running_var'"):
        pretrained_model(tiny_spec(5))
