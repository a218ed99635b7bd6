"""A file of a finished result that is not the one written is never used: one line names it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from test_record_formats import class_statistics, records, same, soft_labels

from damage import json_text, or_one_line
from mutations import damaged, damaged_json
from wmdd.artifacts.folder import ResultFolder
from wmdd.artifacts.sums import check_file, seal_holds, sum_of
from wmdd.artifacts.tensors import mapped_tensor, write_tensors
from wmdd.errors import ArtifactError

FACTS = {
    "stage": "statistics",
    "key": "0123456789ab",
    "settings": {"batch": 3},
    "inputs": ["a", ["b", "c"]],
    "seconds": 1,
    "peak_memory": 17,
    "warnings": [{"kind": "skipped files", "text": "one", "count": 1}],
}
RECORDS = {**records(), "labels": soft_labels("topk", count=2), "statistics": class_statistics()}


def finished(folder: Path, record: Any) -> ResultFolder:
    """Return a finished result with a log."""
    result = ResultFolder(path=folder)
    with result.claimed():
        result.log.write_text('{"stage": "statistics", "loss": 1.0}\n')
        result.commit(record, FACTS)
    return result


def read(result: ResultFolder, kind: type) -> list[Any]:
    """Return all that a run reads of a result."""
    record = result.read(kind)
    return [result.manifest(), result.read_log(), record, list(getattr(record, "epochs", ()))]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.mark.parametrize("name", ["statistics", "labels", "teacher", "distilled"])
def test_a_flipped_bit_in_any_file_is_one_line_that_names_it(tmp_path: Path, name: str) -> None:
    record = RECORDS[name]
    result = finished(tmp_path / name, record)
    whole = read(result, type(record))
    assert same(whole[2], record)
    for file, content in files_of(result.path).items():
        for at in {0, len(content) // 3, len(content) - 1}:
            (result.path / file).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            with pytest.raises(ArtifactError, match=re.escape(str(result.path / file))) as caught:
                read(result, type(record))
            assert f"remove {result.path} and run again" in str(caught.value)
            assert "\n" not in str(caught.value)
        (result.path / file).write_bytes(content)
    assert read(result, type(record))[:2] == whole[:2]


@pytest.mark.parametrize("file", ["record.json", "tensors.safetensors", "features.safetensors", "log.jsonl"])
def test_a_file_of_another_result_or_none_is_one_line(tmp_path: Path, file: str) -> None:
    result, other = (finished(tmp_path / name, class_statistics()) for name in ("one", "two"))
    for spoil in (lambda path: path.write_bytes((other.path / file).read_bytes()[:-1] + b" "), Path.unlink):
        spoil(result.path / file)
        if file == "log.jsonl" and not result.log.exists():
            continue  # no rows are no damage: a stage need not log
        with pytest.raises(ArtifactError, match=file):
            read(result, type(RECORDS["statistics"]))


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", ".hidden", ""])
def test_a_manifest_names_files_of_its_own_folder_only(tmp_path: Path, name: str) -> None:
    result = finished(tmp_path / "one", class_statistics())
    manifest = json.loads((result.path / "manifest.json").read_text())
    manifest["files"][name] = {"size": 1, "sha256": "0" * 64}
    (result.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=r"manifest\.json is damaged; got files"):
        result.manifest()


def test_results_of_older_versions_are_checked_by_size(tmp_path: Path) -> None:
    record = class_statistics()
    result = finished(tmp_path / "one", record)
    sizes = {path.name: path.stat().st_size for path in result.path.glob("*.safetensors")}
    (result.path / "manifest.json").write_text(json.dumps({**FACTS, "files": sizes}))
    assert same(result.read(type(record)), record)
    assert result.read_log()
    with (result.path / "tensors.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ArtifactError, match="tensors.safetensors is damaged"):
        result.read(type(record))


def test_a_manifest_cannot_lose_its_seal_and_pass_for_an_older_one(tmp_path: Path) -> None:
    result = finished(tmp_path / "one", class_statistics())
    manifest = json.loads((result.path / "manifest.json").read_text())
    for spoiled in ({**manifest, "files": {}}, {**manifest, "seal": "0" * 64}, {**manifest, "seconds": 2}):
        (result.path / "manifest.json").write_text(json.dumps(spoiled, indent=1))
        with pytest.raises(ArtifactError, match="not the one written"):
            result.manifest()
    del manifest["seal"]
    (result.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="not the one written"):
        result.manifest()


def test_a_mapped_tensor_with_another_header_is_made_anew_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "features.safetensors"
    mapped_tensor(path, "features", (4, 3)).fill_(1)
    with pytest.raises(ArtifactError, match=r"got no float32 tensor 'features' of 3 x 4"):
        mapped_tensor(path, "features", (3, 4), make=False)
    assert torch.equal(mapped_tensor(path, "features", (3, 4)), torch.zeros(3, 4))


def test_check_sums_of_files(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    write_tensors(path, {"a": torch.rand(2_000_000)}, {"text": '"seal": "' + "0" * 64 + '"'})
    assert seal_holds(path)
    known = sum_of(path)
    check_file(path, known)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert not seal_holds(path)
    with pytest.raises(ArtifactError, match="put a copy back, or remove"):
        check_file(path, known)
    path.write_bytes(b"")
    assert not seal_holds(path)


def expect_one_line_or_the_same(result: ResultFolder, kind: type, whole: list[Any]) -> None:
    found = or_one_line(lambda: read(result, kind))
    if found is not None:
        assert found[:2] == whole[:2]
        assert same(found[2:], whole[2:])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["statistics", "labels", "teacher", "evaluation"])
@pytest.mark.parametrize("seed", range(60))
def test_damage_of_any_file_is_one_line_or_nothing(tmp_path: Path, name: str, seed: int) -> None:
    record = RECORDS[name]
    result = finished(tmp_path / name, record)
    whole = read(result, type(record))
    for file, content in files_of(result.path).items():
        (result.path / file).write_bytes(damaged(content, seed))
        expect_one_line_or_the_same(result, type(record), whole)
        if file.endswith(".json"):
            (result.path / file).write_text(json_text(damaged_json(json.loads(content), seed)))
            expect_one_line_or_the_same(result, type(record), whole)
        (result.path / file).write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["statistics", "labels", "teacher", "evaluation"])
@pytest.mark.parametrize("seed", range(100))
def test_damaged_records_of_older_versions_are_one_line_or_a_record(tmp_path: Path, name: str, seed: int) -> None:
    """Without check sums another number passes for data; what is not of the record's types does not."""
    record = RECORDS[name]
    result = finished(tmp_path / name, record)
    sizes = {path.name: path.stat().st_size for path in result.path.glob("*.safetensors")}
    (result.path / "manifest.json").write_text(json.dumps({**FACTS, "files": sizes}))
    for file in ("record.json", "manifest.json"):
        content = (result.path / file).read_text()
        (result.path / file).write_text(json_text(damaged_json(json.loads(content), seed)))
        or_one_line(lambda: read(result, type(record)))
        (result.path / file).write_text(content)
