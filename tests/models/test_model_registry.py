"""Every name builds, at every size, with any channels; stems and teachers are what they say."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from wmdd.errors import ConfigError
from wmdd.models.building import build_model, build_teacher, resolve_spec
from wmdd.models.names import list_models, parse_convnet
from wmdd.models.stems import patch_size
from wmdd.models.taps import features_and_logits
from wmdd.values import ModelSpec, Teacher

NAMES = [name for name in list_models() if name[-1] not in "]E"]
EXTRA = ["convnet2_w32_bn", "timm:regnetx_002", "timm:swin_tiny_patch4_window7_224"]


def spec(arch: str, *, classes: int = 7, channels: int = 3, size: int = 32, stem: str = "auto") -> ModelSpec:
    return resolve_spec(arch, num_classes=classes, channels=channels, image_size=size, stem=stem)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("channels", "size", "parameters"), [(3, 32, 320_010), (1, 28, 317_706)])
def test_convnet_has_the_published_number_of_parameters(channels: int, size: int, parameters: int) -> None:
    assert count(build_model(spec("convnet3", classes=10, channels=channels, size=size))) == parameters


@pytest.mark.parametrize("arch", NAMES + EXTRA)
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (4, 32), (3, 64)])
def test_every_network_gives_features_and_logits(arch: str, channels: int, size: int) -> None:
    with torch.device("meta"):  # shapes only
        model = build_model(spec(arch, channels=channels, size=size)).eval()
        features, logits = features_and_logits(model, torch.empty(2, channels, size, size))
    assert logits.shape == (2, 7)
    assert features.ndim == 2
    assert features.shape[1] >= 128


@pytest.mark.parametrize("arch", ["resnet18", "shufflenetv2", "vit_tiny", "convnet2_w32_bn"])
def test_features_times_the_last_layer_are_the_logits(arch: str) -> None:
    model = build_model(spec(arch, size=8)).eval()
    with torch.no_grad():
        features, logits = features_and_logits(model, torch.randn(2, 3, 8, 8))
    layer = model.get_classifier() if hasattr(model, "get_classifier") else model.fc
    torch.testing.assert_close(layer(features), logits)
    assert logits.isfinite().all()


def test_torchs_global_stream_decides_the_weights() -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return next(build_model(spec("convnet1_w8")).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize(("size", "stem"), [(8, "small"), (95, "small"), (96, "imagenet"), (224, "imagenet")])
def test_auto_stem_follows_the_image_size(size: int, stem: str) -> None:
    assert spec("resnet18", size=size).stem == stem


@pytest.mark.parametrize(
    ("arch", "conv", "kernel", "pool"),
    [
        ("resnet18", "conv1", 3, "maxpool"),
        ("densenet121", "features.conv0", 3, "features.pool0"),
        ("shufflenetv2", "conv1.0", 3, "maxpool"),
        ("mobilenetv2", "conv_stem", 3, None),
        ("efficientnet_b0", "conv_stem", 3, None),
    ],
)
def test_small_stem_keeps_the_resolution(arch: str, conv: str, kernel: int, pool: str | None) -> None:
    with torch.device("meta"):
        model = build_model(spec(arch, channels=4, stem="small"))
        plain = build_model(spec(arch, channels=4, stem="imagenet"))
    layer, before = model.get_submodule(conv), plain.get_submodule(conv)
    assert (layer.stride, layer.kernel_size, layer.in_channels) == ((1, 1), (kernel, kernel), 4)
    assert layer(torch.empty(1, 4, 32, 32, device="meta")).shape[-1] == 32
    assert before.stride == (2, 2)
    if pool is not None:
        assert isinstance(model.get_submodule(pool), nn.Identity)
        assert isinstance(plain.get_submodule(pool), nn.MaxPool2d)


@pytest.mark.parametrize(
    ("size", "stem", "side"),
    [
        (8, "small", 2),
        (28, "small", 2),
        (32, "small", 4),
        (64, "small", 8),
        (64, "imagenet", 16),
        (128, "imagenet", 16),
        (224, "imagenet", 16),
        (100, "imagenet", 10),
        (8, "imagenet", 8),
    ],
)
def test_patches_cover_the_image(size: int, stem: str, side: int) -> None:
    assert patch_size(size, stem) == side
    assert size % side == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("convnet3", (3, 128, "in")),
        ("convnet2_w32_bn", (2, 32, "bn")),
        ("convnet4_in", (4, 128, "in")),
        ("convnet", None),
        ("convnet3_x", None),
    ],
)
def test_convnet_names(name: str, expected: tuple[int, int, str] | None) -> None:
    found = parse_convnet(name)
    assert (None if found is None else (found.depth, found.width, found.norm)) == expected


@pytest.mark.parametrize(
    ("arch", "words"),
    [
        ("resnet81", "did you mean 'resnet18'?"),
        ("zzz", "choose one of"),
        ("timm:", "unknown network"),
        ("timm:resnet18z", "did you mean 'resnet18"),
        ("timm:!!!!", "timm.list_models()"),
        ("convnet6", "use 5 blocks at most"),
    ],
)
def test_wrong_names_are_one_line(arch: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        spec(arch)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_stem() -> None:
    with pytest.raises(ConfigError, match="did you mean 'small'"):
        spec("resnet18", stem="smal")


def test_networks_with_two_last_layers_are_refused() -> None:
    with torch.device("meta"), pytest.raises(ConfigError, match="must end in one linear layer"):
        build_model(spec("timm:deit_tiny_distilled_patch16_224"))


def test_a_network_that_timm_cannot_build_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("grid too\nsmall")

    monkeypatch.setattr("timm.create_model", fail)
    with pytest.raises(ConfigError, match="cannot be built for 3 x 32 x 32 images; timm says grid too small"):
        build_model(spec("resnet18"))


def test_a_vit_keeps_its_own_patch_with_the_imagenet_stem() -> None:
    with torch.device("meta"):
        model = build_model(spec("timm:vit_small_patch14_dinov2", size=224))
    assert model.get_submodule("patch_embed.proj").kernel_size == (14, 14)


def teacher_of(weights: dict[str, Tensor]) -> Teacher:
    kind, grey = spec("convnet1_w8_bn", size=8), (0.5, 0.5, 0.5)
    return Teacher(spec=kind, weights=weights, classes=tuple("abcdefg"), mean=grey, std=grey, top1=0.0)


def test_teacher_has_its_weights_and_is_frozen() -> None:
    made = build_model(spec("convnet1_w8_bn", size=8))
    teacher = teacher_of(made.state_dict())
    before = torch.get_rng_state()
    built = build_teacher(teacher, "cpu")
    assert torch.equal(before, torch.get_rng_state())
    assert not built.training
    assert not any(parameter.requires_grad for parameter in built.parameters())
    x = torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(built(x), made.eval()(x))
    assert built.get_submodule("blocks.0").weight.is_contiguous(memory_format=torch.channels_last)
    assert build_teacher(teacher, channels_last=False).get_submodule("blocks.0").weight.is_contiguous()


def test_teacher_with_a_missing_weight_is_refused() -> None:
    weights = build_model(spec("convnet1_w8_bn", size=8)).state_dict()
    del weights["classifier.bias"]
    teacher = teacher_of(weights)
    with pytest.raises(RuntimeError, match="Missing key"):
        build_teacher(teacher)


def test_names_are_listed_and_checked_without_torch() -> None:
    code = (
        "import sys; from wmdd.models.names import check_name, list_models; "
        "check_name('resnet18'); assert list_models() and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
