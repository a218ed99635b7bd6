"""A teacher's checkpoint: accepted as plain PyTorch and timm would, refused in one line that says what differs."""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from mutations import damaged
from wmdd.errors import ConfigError
from wmdd.models.building import build_model, resolve_spec
from wmdd.models.checkpoints import load_checkpoint
from wmdd.models.foreign_facts import IMAGENET, stated_accuracy, stated_moments
from wmdd.values import ModelSpec

SPEC = resolve_spec("convnet1_w8_bn", num_classes=3, channels=3, image_size=8)
CLASSES = ["a", "b", "c"]
State = dict[str, Tensor]


def drawn_state(spec: ModelSpec = SPEC) -> State:
    torch.manual_seed(0)
    return build_model(spec).state_dict()


@pytest.fixture
def weights() -> State:
    return drawn_state()


def loaded(path: Path, content: object, **options: Any) -> State:
    torch.save(content, path)
    return load_checkpoint(path, SPEC, **options).weights


def assert_same(left: State, right: State) -> None:
    assert list(left) == list(right)
    assert all(torch.equal(left[key], right[key]) for key in left)


def refused(path: Path, spec: ModelSpec = SPEC, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_checkpoint(path, spec, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def prefixed(prefix: str) -> Callable[[State], object]:
    return lambda state: {prefix + key: value for key, value in state.items()}


def in_the_middle(state: State) -> object:
    return {key.replace("blocks.", "blocks._orig_mod."): value for key, value in state.items()}


def mixed(state: State) -> object:
    fronts = ["", "module.", "_orig_mod.module.", "model.net."]
    return {fronts[number % 4] + key: value for number, (key, value) in enumerate(state.items())}


def expanded(state: State) -> object:
    state["blocks.1.running_var"] = torch.ones(1).expand(8)
    state["classifier.weight"] = state["classifier.weight"].t().contiguous().t()
    return state


LIKE_PYTORCH: dict[str, Callable[[State], object]] = {
    "plain": lambda state: state,
    **{
        f"in {key}": lambda state, key=key: {key: state, "epoch": 3} for key in ("state_dict", "model", "net", "module")
    },
    "in two": lambda state: {"model": {"state_dict": state}, "epoch": 3},
    "the moving average counts": lambda state: {
        "state_dict": {key: 0 * value for key, value in state.items()},
        "state_dict_ema": state,
    },
    **{
        f"prefix {prefix}": prefixed(prefix)
        for prefix in (
            "module.",
            "_orig_mod.",
            "model.",
            "net.",
            "backbone.",
            "module._orig_mod.",
            "model.model.module.",
        )
    },
    "compiled parts": in_the_middle,
    "mixed prefixes": mixed,
    "a prefix twice for equal weights": lambda state: {**state, **prefixed("module.")(state)},  # pyright: ignore
    "AveragedModel": lambda state: {**prefixed("module.")(state), "n_averaged": torch.tensor(3)},  # pyright: ignore
    "timm's training script": lambda state: {"state_dict": state, "args": argparse.Namespace(mean=None), "version": 2},
    "parameters": lambda state: {
        key: torch.nn.Parameter(value) if value.is_floating_point() else value for key, value in state.items()
    },
    "views and strides": expanded,
    "facts beside the weights": lambda state: {**state, "epoch": 3, "classes": CLASSES, "mean": torch.zeros(3)},
}


@pytest.mark.parametrize("kind", LIKE_PYTORCH)
def test_what_pytorch_would_load_is_loaded(tmp_path: Path, weights: State, kind: str) -> None:
    found = loaded(tmp_path / "x.pt", LIKE_PYTORCH[kind](dict(weights)))
    wanted = {**weights, "blocks.1.running_var": torch.ones(8)}
    assert_same(found, wanted)
    assert all(value.is_contiguous() and type(value) is Tensor for value in found.values())


def test_a_missing_count_of_batches_is_zero(tmp_path: Path, weights: State) -> None:
    weights["blocks.1.num_batches_tracked"].fill_(7)
    without = {key: value for key, value in weights.items() if "num_batches" not in key}
    assert_same(loaded(tmp_path / "x.pt", without), {**weights, "blocks.1.num_batches_tracked": torch.tensor(0)})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_become_the_networks(tmp_path: Path, weights: State, dtype: torch.dtype) -> None:
    other = {key: value.to(dtype) if value.is_floating_point() else value for key, value in weights.items()}
    found = loaded(tmp_path / "x.pt", other)
    assert_same(found, {key: other[key].to(value.dtype) for key, value in weights.items()})


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ""])
def test_the_bytes_say_what_a_file_is_and_not_its_name(tmp_path: Path, weights: State, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    safetensors.torch.save_file(weights, path)
    assert_same(load_checkpoint(str(path), SPEC).weights, weights)
    assert_same(loaded(path, weights), weights)
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    assert_same(load_checkpoint(path, SPEC).weights, weights)


def test_loading_leaves_the_random_stream_alone(tmp_path: Path, weights: State) -> None:
    torch.save(weights, tmp_path / "x.pt")
    before = torch.get_rng_state()
    load_checkpoint(tmp_path / "x.pt", SPEC)
    assert torch.equal(before, torch.get_rng_state())


class Evil:
    def __reduce__(self):
        return (print, ("code was run",))


def test_no_code_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": Evil()}, tmp_path / "x.pt")
    assert "cannot be read" in refused(tmp_path / "x.pt")
    assert capsys.readouterr().out == ""


BYTES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "cannot be read"),
    "text": (b"not a checkpoint at all", "cannot be read"),
    "random": (bytes(range(3, 256)) * 20, "cannot be read"),
    "random archive": (b"PK\x03\x04" + bytes(range(256)), "cannot be read"),
    "random header": (b"\x10\0\0\0\0\0\0\0{" + bytes(range(256)), "cannot be read"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
    "web page": (b"\n<!DOCTYPE html><html></html>", "web page"),
}


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors"])
def test_unreadable_files(tmp_path: Path, name: str) -> None:
    assert "not found" in refused(tmp_path / name)
    (tmp_path / "folder").mkdir()
    assert "cannot be read" in refused(tmp_path / "folder")
    for content, message in BYTES.values():
        (tmp_path / name).write_bytes(content)
        assert message in refused(tmp_path / name)


def test_a_module_and_a_torchscript_archive(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 2)
    torch.save(module, tmp_path / "x.pt")
    assert "save model.state_dict()" in refused(tmp_path / "x.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(tmp_path / "s.pt"))  # pyright: ignore
    assert "is a TorchScript archive" in refused(tmp_path / "s.pt")


def test_a_checksum_that_fails(tmp_path: Path, weights: State) -> None:
    path = tmp_path / "x.pt"
    torch.save(weights, path)
    content = bytearray(path.read_bytes())
    content[content.find(weights["classifier.weight"].numpy().tobytes()) + 2] ^= 1
    path.write_bytes(content)
    assert "is damaged" in refused(path)
    torch.serialization.set_crc32_options(False)
    try:
        assert_same(loaded(path, weights), weights)
    finally:
        torch.serialization.set_crc32_options(True)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, {0: torch.ones(2)}, torch.ones(2), {"model": {}}])
def test_files_that_hold_something_else(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "x.pt")
    assert "is no state dict" in refused(tmp_path / "x.pt")


def quantised(value: Tensor) -> Tensor:
    return torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)


WRONG_TENSORS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "meta": (lambda value: value.to("meta"), "has no values (meta device)"),
    "sparse": (lambda value: value.to_sparse(), "is sparse"),
    "quantised": (quantised, "is quantised"),
    "complex": (lambda value: value.to(torch.complex64), "is complex"),
    "integer": (lambda value: value.to(torch.int32), "holds integers"),
    "NaN": (
        lambda value: value.index_fill(0, torch.tensor(1), float("nan")),
        "holds NaN in 'classifier.weight'; got 128",
    ),
    "infinity": (lambda value: value / 0, "holds infinity in 'classifier.weight'"),
    "too large for float32": (lambda value: value.double() * 1e300, "holds infinity in 'classifier.weight'"),
}


@pytest.mark.parametrize("kind", WRONG_TENSORS)
@pytest.mark.filterwarnings("ignore")  # of torch, about quantised and sparse tensors
def test_tensors_that_are_no_plain_weights(tmp_path: Path, weights: State, kind: str) -> None:
    spoil, message = WRONG_TENSORS[kind]
    torch.save({**weights, "classifier.weight": spoil(weights["classifier.weight"])}, tmp_path / "x.pt")
    assert message in refused(tmp_path / "x.pt")


def test_a_negative_variance(tmp_path: Path, weights: State) -> None:
    weights["blocks.1.running_var"][3] = -0.5
    torch.save(weights, tmp_path / "x.pt")
    assert "holds a negative variance in 'blocks.1.running_var'; got -0.5" in refused(tmp_path / "x.pt")


def test_what_differs_is_said(tmp_path: Path, weights: State) -> None:
    torch.save(weights, tmp_path / "x.pt")
    deeper = resolve_spec("convnet2_w8_bn", num_classes=3, channels=3, image_size=8)
    found = refused(tmp_path / "x.pt", deeper)
    assert "6 keys missing: 'blocks.4.weight', 'blocks.4.bias', 'blocks.5.weight', ... and 0 extra" in found
    plain = resolve_spec("convnet1_w8_in", num_classes=3, channels=3, image_size=8)
    assert "0 keys missing and 3 extra: 'blocks.1.running_mean'" in refused(tmp_path / "x.pt", plain)
    wider = resolve_spec("convnet1_w16_bn", num_classes=3, channels=3, image_size=8)
    assert "'blocks.0.weight' of shape (8, 3, 3, 3) instead of (16, 3, 3, 3)" in refused(tmp_path / "x.pt", wider)
    larger = resolve_spec("convnet1_w8_bn", num_classes=3, channels=3, image_size=16)
    assert "'classifier.weight' of shape (3, 128) instead of (3, 512)" in refused(tmp_path / "x.pt", larger)
    torch.save({f"resnet.{key}": value for key, value in weights.items()}, tmp_path / "x.pt")
    assert "its names begin with 'resnet.'" in refused(tmp_path / "x.pt")
    torch.save({key: value for key, value in weights.items() if "classifier" not in key}, tmp_path / "x.pt")
    assert "lacks this network's last layer" in refused(tmp_path / "x.pt")
    torch.save({**weights, "net.classifier.bias": weights["classifier.bias"] + 1}, tmp_path / "x.pt")
    assert "two different tensors for 'classifier.bias'" in refused(tmp_path / "x.pt")


def test_the_other_stem_is_named(tmp_path: Path) -> None:
    spec = resolve_spec("resnet18", num_classes=3, channels=3, image_size=64, stem="imagenet")
    torch.save(drawn_state(spec), tmp_path / "x.pt")
    small = resolve_spec("resnet18", num_classes=3, channels=3, image_size=64)
    assert "set squeeze.stem to imagenet" in refused(tmp_path / "x.pt", small)


def test_another_class_count(tmp_path: Path, weights: State) -> None:
    torch.save(weights, tmp_path / "x.pt")
    ten = resolve_spec("convnet1_w8_bn", num_classes=10, channels=3, image_size=8)
    assert "checkpoint has 3 classes, the data have 10" in refused(tmp_path / "x.pt", ten)


@pytest.mark.parametrize("fact", [{"classes": ["c", "a", "b"]}, {"class_to_idx": {"a": 1, "b": 2, "c": 0}}])
def test_the_last_layer_is_put_into_the_order_of_the_data(
    tmp_path: Path, weights: State, fact: dict[str, object]
) -> None:
    torch.save({"state_dict": weights, **fact}, tmp_path / "x.pt")
    found = load_checkpoint(tmp_path / "x.pt", SPEC, CLASSES)
    assert found.reordered
    for name in ("classifier.weight", "classifier.bias"):
        assert torch.equal(found.weights[name], weights[name][[1, 2, 0]])
    assert_same(load_checkpoint(tmp_path / "x.pt", SPEC).weights, weights)
    assert not load_checkpoint(tmp_path / "x.pt", SPEC, CLASSES, named=CLASSES).reordered


def test_other_classes_are_refused(tmp_path: Path, weights: State) -> None:
    torch.save({"state_dict": weights, "classes": CLASSES}, tmp_path / "x.pt")
    assert_same(load_checkpoint(tmp_path / "x.pt", SPEC, CLASSES).weights, weights)
    assert "got 'b' where the data have 'd'" in refused(tmp_path / "x.pt", classes=["a", "c", "d"])
    assert "got 3 classes where the data have 2" in refused(tmp_path / "x.pt", classes=["a", "b"])
    assert "got 2 classes where the data have 3" in refused(tmp_path / "x.pt", classes=CLASSES, named=["a", "b"])


MOMENTS: dict[str, tuple[dict[str, Any], Any]] = {
    "nothing": ({"epoch": 3}, None),
    "lists": ({"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}, ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))),
    "tensors": ({"mean": torch.full((1, 3, 1, 1), 0.5), "std": torch.full((3,), 0.25)}, ((0.5,) * 3, (0.25,) * 3)),
    "one number": ({"mean": 0.5, "std": 0.25}, ((0.5,) * 3, (0.25,) * 3)),
    "0..255": ({"mean": [127.5] * 3, "std": [51.0] * 3}, ((0.5,) * 3, (0.2,) * 3)),
    "timm": ({"pretrained_cfg": {"mean": IMAGENET[0], "std": IMAGENET[1]}}, IMAGENET),
    "timm's script": ({"args": argparse.Namespace(mean=list(IMAGENET[0]), std=list(IMAGENET[1]))}, IMAGENET),
    "Lightning": ({"hyper_parameters": {"mean": [0.5] * 3, "std": [0.5] * 3}}, ((0.5,) * 3, (0.5,) * 3)),
    "words": ({"normalisation": "imagenet"}, "imagenet"),
    "half of it": ({"std": 0.02}, None),
    "two channels": ({"mean": [0.1, 0.2], "std": [0.1, 0.2]}, "need a value for each channel"),
    "no numbers": ({"mean": ["a"], "std": [0.1]}, "states no usable normalisation"),
    "no deviation": ({"mean": [0.1], "std": [0.0]}, "states no usable normalisation"),
    "NaN": ({"mean": [float("nan")], "std": [0.1]}, "states no usable normalisation"),
}


@pytest.mark.parametrize("kind", MOMENTS)
def test_the_normalisation_that_a_file_states(kind: str) -> None:
    facts, wanted = MOMENTS[kind]
    if isinstance(wanted, str) and wanted != "imagenet":
        with pytest.raises(ConfigError, match=wanted):
            stated_moments(Path("x.pt"), facts, 3)
    else:
        assert stated_moments(Path("x.pt"), facts, 3) == wanted


def test_facts_of_safetensors(tmp_path: Path, weights: State) -> None:
    facts = {"mean": "[0.5, 0.5, 0.5]", "std": "0.25", "classes": '["c", "a", "b"]', "acc": "0.91", "format": "pt"}
    safetensors.torch.save_file(weights, tmp_path / "x.safetensors", metadata=facts)
    found = load_checkpoint(tmp_path / "x.safetensors", SPEC, CLASSES)
    assert found.reordered
    assert stated_moments(tmp_path, found.facts, 1) == ((0.5,), (0.25,))
    assert stated_accuracy(found.facts) == pytest.approx(91)


@pytest.mark.parametrize(
    ("facts", "wanted"), [({}, None), ({"best_acc1": torch.tensor(70.5)}, 70.5), ({"acc": "x"}, None)]
)
def test_the_accuracy_that_a_file_states(facts: dict[str, Any], wanted: float | None) -> None:
    assert stated_accuracy(facts) == wanted


def one_line_or_weights(path: Path) -> State | None:
    caught: list[str] = []
    try:
        return load_checkpoint(path, SPEC).weights
    except ConfigError as error:
        caught.append(str(error))
    assert str(path) in caught[0]
    assert "\n" not in caught[0]
    return None


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["archive", "safetensors", "legacy"])
@pytest.mark.parametrize("seed", range(60))
@pytest.mark.filterwarnings("ignore")
def test_damage_is_one_line_or_harmless(tmp_path: Path, kind: str, seed: int) -> None:
    """Only archives have checksums: elsewhere bytes of values may have changed, if the rest of the file is whole."""
    weights, path = drawn_state(), tmp_path / "x"
    if kind == "safetensors":
        safetensors.torch.save_file(weights, path)
    else:
        torch.save({"state_dict": weights}, path, _use_new_zipfile_serialization=kind == "archive")
    whole = path.read_bytes()
    path.write_bytes(damaged(whole, seed))
    found = one_line_or_weights(path)
    if found is None:
        return
    head = 8 + int.from_bytes(whole[:8], "little") if kind == "safetensors" else 0
    if kind == "archive" or path.read_bytes()[:head] != whole[:head]:
        assert_same(dict(sorted(found.items())), dict(sorted(weights.items())))
    assert [value.shape for value in found.values()] == [value.shape for value in weights.values()]
    assert all(torch.isfinite(value).all() for value in found.values())
