"""A result is finished when its manifest stands, and belongs to one process at a time."""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from wmdd.artifacts import folder as folder_module
from wmdd.artifacts.folder import ResultFolder, Store
from wmdd.artifacts.sums import FileSum
from wmdd.errors import ArtifactError
from wmdd.values import Evaluation

_OTHER_PROCESS = """
import sys
from pathlib import Path
from wmdd.artifacts.folder import ResultFolder
from wmdd.artifacts.sums import FileSum
from wmdd.errors import ArtifactError
for _ in sys.stdin:
    try:
        with ResultFolder(path=Path(sys.argv[1])).claimed():
            print("claimed", flush=True)
    except ArtifactError as error:
        print(error, flush=True)
"""


@pytest.fixture
def result(tmp_path: Path) -> ResultFolder:
    return Store(root=tmp_path / "store").folder("evaluate", "0123456789ab")


def test_a_folder_is_named_by_stage_and_key(result: ResultFolder) -> None:
    assert result.path.name == "evaluate-0123456789ab"
    assert not result.finished


def test_commit_finishes_a_result_and_removes_its_saved_state(result: ResultFolder) -> None:
    with result.claimed():
        (result.work / "student.safetensors").write_bytes(b"state")
        assert not result.finished
        result.commit(Evaluation(), {"stage": "evaluate", "seconds": 1.5})
    assert result.finished
    assert not result.work.exists()
    assert result.read(Evaluation) == Evaluation()
    manifest = result.manifest()
    assert manifest.seconds == 1.5
    assert manifest.files == {
        name: FileSum(size=len(content := (result.path / name).read_bytes()), sha256=sha256(content).hexdigest())
        for name in ("record.json", "tensors.safetensors")
    }


def test_the_manifest_is_written_after_the_record_and_before_the_state_goes(
    result: ResultFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, set[str]]] = []

    def present() -> set[str]:
        return {file.name for file in result.path.iterdir()}

    write_manifest, rmtree = folder_module.write_manifest, shutil.rmtree
    monkeypatch.setattr(
        folder_module, "write_manifest", lambda *args: (seen.append(("manifest", present())), write_manifest(*args))
    )
    monkeypatch.setattr(
        folder_module.shutil, "rmtree", lambda *args, **kw: (seen.append(("rmtree", present())), rmtree(*args, **kw))
    )
    with result.claimed():
        result.commit(Evaluation(), {"seconds": 0})
    record = {"record.json", "tensors.safetensors"}
    assert seen == [("manifest", record | {"work"}), ("rmtree", record | {"manifest.json", "work.gone"})]
    assert present() == record | {"manifest.json"}


def test_units_that_a_killed_commit_moved_are_back_for_the_next_attempt(result: ResultFolder) -> None:
    names = ("epoch-00000.safetensors", "epoch-00001.safetensors")
    with result.claimed():
        for name in names:
            (result.work / name).write_bytes(name.encode())
        (result.work / names[0]).replace(result.path / names[0])  # and then the kill
    with result.claimed():
        assert {path.name: path.read_bytes() for path in result.work.iterdir()} == {n: n.encode() for n in names}
        for name in names:
            (result.work / name).replace(result.path / name)
        result.commit(Evaluation(), {})
    with result.claimed():  # by a second process that asked a moment before it was finished
        assert all((result.path / name).exists() for name in names)


def test_a_second_process_is_refused_and_the_next_one_is_not(result: ResultFolder) -> None:
    command = [sys.executable, "-c", _OTHER_PROCESS, str(result.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        with result.claimed():
            other.stdin.write("try\n")
            refused = other.stdout.readline()
            with pytest.raises(ArtifactError, match="another process"), result.claimed():
                pass
        assert "another process is working on this result" in refused
        other.stdin.write("try again\n")
        assert other.stdout.readline() == "claimed\n"
        other.stdin.close()
        assert other.stdout.read() == ""
