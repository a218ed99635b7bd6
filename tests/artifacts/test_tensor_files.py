"""Files of tensors: written in a stream, with the very bytes that safetensors would write; read as maps."""

import json
import tracemalloc
from pathlib import Path

import pytest
import safetensors.torch
import torch

from wmdd.artifacts.sums import UNSEALED, seal_holds, sealed
from wmdd.artifacts.tensors import map_tensors, read_tensors, write_tensors
from wmdd.errors import ArtifactError

ALL = {
    "zero": torch.tensor(5),
    "logits": torch.rand(3, 4).half(),
    "classes": torch.arange(6, dtype=torch.int16).view(3, 2),
    "codes": torch.arange(5, dtype=torch.uint8),
    "signed": torch.tensor([-1, 2], dtype=torch.int8),
    "flags": torch.tensor([True, False, True]),
    "brain": torch.rand(2).bfloat16(),
    "weights": torch.rand(3, dtype=torch.float64),
    "features": torch.rand(2, 3),
    "labels": torch.arange(3, dtype=torch.int32),
    "Ünïcode": torch.rand(1),
    "none": torch.empty(0, 3),
}
FACTS = {"epoch": 3, "name": 'a "quoted" ü'}


def test_bytes_are_those_of_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "all.safetensors"
    write_tensors(path, ALL, FACTS)
    oracle = safetensors.torch.save(ALL, metadata={"facts": json.dumps({**UNSEALED, **FACTS})})
    assert path.read_bytes() == sealed(oracle)
    assert seal_holds(path)


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_map_has_what_was_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / "all.safetensors"
    write_tensors(path, ALL, FACTS)
    whole, facts = read_tensors(path)
    assert facts == FACTS
    for found in (map_tensors(path)[name], whole[name]):
        assert found.dtype == ALL[name].dtype
        assert found.shape == ALL[name].shape
        assert torch.equal(found, ALL[name])


def test_tensors_of_another_programs_file_need_not_be_aligned(tmp_path: Path) -> None:
    header = {"a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}
    header["b"] = {"dtype": "F32", "shape": [2], "data_offsets": [3, 11]}
    text = json.dumps(header).encode()
    values = torch.tensor([1.5, -2.0])
    path = tmp_path / "odd.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes([7, 8, 9]) + values.numpy().tobytes())
    assert torch.equal(map_tensors(path)["b"], values)


@pytest.mark.parametrize("content", [b"", b"short", bytes(40), (2**40).to_bytes(8, "little") + b"{}"])
def test_what_is_no_file_of_tensors_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="bad.safetensors is damaged; got no tensors"):
        map_tensors(path)


def test_writing_holds_a_block_at_a_time(tmp_path: Path) -> None:
    values = torch.zeros(64 << 20, dtype=torch.uint8)
    tracemalloc.start()
    write_tensors(tmp_path / "large.safetensors", {"values": values}, {})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
