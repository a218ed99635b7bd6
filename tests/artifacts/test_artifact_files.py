"""Files are there as a whole or not at all."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from wmdd.artifacts.files import (
    append_text,
    fsync_folder,
    make_folder,
    write_bytes,
    write_json,
    writing,
)
from wmdd.artifacts.tensors import mapped_tensor, read_tensors, write_tensors
from wmdd.errors import ArtifactError


def fail_with(code: int) -> "object":
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(("where", "code"), [("open", errno.ENOSPC), ("replace", errno.EACCES)])
def test_a_failed_write_is_one_line_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, code: int
) -> None:
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(Path, where, fail_with(code))
        with pytest.raises(ArtifactError, match=os.strerror(code)) as caught:
            write_bytes(path, b"new and longer")
    assert "\n" not in str(caught.value)
    assert "--store" in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file.bin"]


def test_a_folder_that_does_not_fit_after_all_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(tmp_path / "file.bin", b"data")
    fsync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    with pytest.raises(ArtifactError, match="make room"):
        fsync_folder(tmp_path)


def test_a_log_on_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_text(tmp_path / "log.jsonl", "one\n")
    append_text(tmp_path / "log.jsonl", "two\n")
    assert (tmp_path / "log.jsonl").read_text("utf-8") == "one\ntwo\n"
    monkeypatch.setattr(Path, "open", fail_with(errno.ENOSPC))
    with pytest.raises(ArtifactError, match="make room"):
        append_text(tmp_path / "log.jsonl", "three\n")


def test_complaints_of_ours_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="^mine$"), writing(tmp_path):
        raise ArtifactError("mine")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArtifactError, match="cannot write .*file"):
        make_folder(tmp_path / "file")


def test_a_write_into_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot write"):
        write_bytes(tmp_path / "nowhere" / "file", b"")


def test_json_round_trip_keeps_every_letter(tmp_path: Path) -> None:
    value = {"class": "Bär", "numbers": [1, 2.5, None, True]}
    write_json(tmp_path / "value.json", value)
    assert json.loads((tmp_path / "value.json").read_text("utf-8")) == value
    assert "Bär" in (tmp_path / "value.json").read_text("utf-8")


def test_tensors_round_trip_with_facts_and_any_memory_layout(tmp_path: Path) -> None:
    tensors = {
        "last": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "turned": torch.rand(3, 4).T,
        "half": torch.rand(3).half(),
        "flags": torch.tensor([True, False]),
        "scalar": torch.tensor(7),
        "grown": torch.rand(2, requires_grad=True),
        "empty": torch.zeros(0, 3),
    }
    write_tensors(tmp_path / "state.safetensors", tensors, {"step": 3, "history": [{"top1": 1.5}]})
    read, facts = read_tensors(tmp_path / "state.safetensors")
    assert facts == {"step": 3, "history": [{"top1": 1.5}]}
    assert read.keys() == tensors.keys()
    for name, value in tensors.items():
        assert read[name].dtype == value.dtype
        assert torch.equal(read[name], value)


@pytest.mark.parametrize("length", [None, 0, 5, 100], ids=["missing", "empty", "no header", "torn"])
def test_damaged_tensors_are_one_line(tmp_path: Path, length: int | None) -> None:
    path = tmp_path / "state.safetensors"
    write_tensors(path, {"images": torch.rand(10, 10)}, {})
    path.write_bytes(path.read_bytes()[:length]) if length is not None else path.unlink()
    with pytest.raises(ArtifactError, match="is damaged; got no tensors") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["features", "f", "a-longer-name"])
def test_a_mapped_tensor_is_a_safetensors_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "features.safetensors"
    values = torch.rand(7, 3)
    mapped = mapped_tensor(path, name, (7, 3))
    assert torch.equal(mapped, torch.zeros(7, 3))
    mapped[2:5] = values[2:5]
    again = mapped_tensor(path, name, (7, 3))
    assert torch.equal(again[2:5], values[2:5])  # what was written before a kill is still there after it
    again.copy_(values)
    assert torch.equal(load_file(path)[name], values)
    assert mapped.is_contiguous()


def test_a_mapped_tensor_of_another_size_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "features.safetensors"
    mapped_tensor(path, "features", (4, 3)).fill_(1)
    assert torch.equal(mapped_tensor(path, "features", (5, 3)), torch.zeros(5, 3))


def test_no_room_for_a_mapped_tensor_is_one_line_before_anything_is_written_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", fail_with(errno.ENOSPC), raising=False)
    with pytest.raises(ArtifactError, match="make room"):
        mapped_tensor(tmp_path / "features.safetensors", "features", (4, 3))
    assert list(tmp_path.iterdir()) == []
