"""A disk that is full or not writable, or something in the way, is one line and leaves no half-written file."""

import resource
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from platform import node

import pytest
import torch
from tiny_run import ARCH, BENCH

from wmdd.artifacts.files import remove_leftovers, replacing, write_bytes, write_json
from wmdd.artifacts.folder import ResultFolder, Store
from wmdd.artifacts.tensors import mapped_tensor
from wmdd.cli.main import main
from wmdd.errors import ArtifactError
from wmdd.values import Barycenters


@contextmanager
def largest_file(size: int) -> Generator[None]:
    """Let writes beyond `size` bytes of a file fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def result(tmp_path: Path) -> ResultFolder:
    return Store(root=tmp_path / "store").folder("evaluate", "0123456789ab")


def test_no_room_for_a_file_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    write_bytes(tmp_path / "page.html", b"old")
    with largest_file(1000):
        for write in (
            lambda: write_bytes(tmp_path / "page.html", bytes(2000)),
            lambda: mapped_tensor(tmp_path / "features.safetensors", "features", (100, 30)),
        ):
            with pytest.raises(ArtifactError, match=r"^cannot write .*make room[^\n]*$"):
                write()
    assert names(tmp_path) == {"page.html"}
    assert (tmp_path / "page.html").read_bytes() == b"old"


def test_no_room_for_a_record_leaves_an_unfinished_result_that_goes_on(result: ResultFolder) -> None:
    record = Barycenters(
        atoms=torch.zeros(9, 9, 9),
        weights=torch.zeros(9, 9),
        costs=torch.zeros(9),
        best_known=torch.zeros(9),
        traces=(),
        converged=(),
    )
    with largest_file(1000), pytest.raises(ArtifactError, match="make room"), result.claimed():
        result.commit(record, {})
    assert not result.finished
    assert not [name for name in names(result.path) if name.endswith(".tmp")]
    with result.claimed():
        result.commit(record, {})
    assert torch.equal(result.read(type(record)).atoms, record.atoms)


@pytest.mark.parametrize("way", ["folder for the lock", "file for the result", "file for the store"])
def test_something_in_the_way_of_a_result_is_one_line(result: ResultFolder, way: str) -> None:
    if way == "folder for the lock":
        result.path.with_name(f".{result.path.name}.lock").mkdir(parents=True)
    elif way == "file for the result":
        write_file(result.path)
    else:
        write_file(result.path.parent)
    with pytest.raises(ArtifactError, match=r"^cannot write [^\n]*$"), result.claimed():
        pytest.fail("claimed")


def write_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mine")


def test_what_a_killed_process_was_writing_is_removed(result: ResultFolder, tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    result.work.mkdir(parents=True)
    stale = [
        result.path / f"tensors.safetensors.{node()}.{ended.pid}.tmp",
        result.work / f"class-00000.safetensors.{node()}.{ended.pid}.tmp",
    ]
    names = ("mine.tmp", "1.tmp", f"a.{node()}.0.tmp", f"tensors.{node()}.1.tmp", f"a.elsewhere.{ended.pid}.tmp")
    others = [result.path / name for name in names]
    for path in (*stale, *others):
        path.write_bytes(b"torn")
    with result.claimed(), replacing(result.path / "now") as temporary:
        temporary.write_bytes(b"")
        remove_leftovers(result.path)
        assert temporary.exists()  # the writer is at work
    assert not any(path.exists() for path in stale)
    assert all(path.exists() for path in others)


@pytest.mark.parametrize("file", ["run.json", "recipe.yaml", "log.jsonl", "metrics.json", "report.html", "distilled"])
def test_something_in_the_way_of_a_run_is_one_line(
    finished_run: Path,
    tmp_path: Path,
    file: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    (out / file / "mine").mkdir(parents=True)
    words = [f"--squeeze.arch={ARCH}", "--squeeze.epochs=1", "--recover.iterations=2", "--ipc=1", "--device=cpu"]
    words += [f"--evaluate.students={ARCH}", "--evaluate.epochs=1", "--evaluate.seeds=1"]
    words += ["--evaluate.labels=soft", "--evaluate.references=random"]
    store = str(finished_run.parent / "store")
    assert main(["distill", "digits", "--out", str(out), "--store", store, *words]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("wmdd: error: ")
    assert str(out) in said[-1]
    assert not [name for name in names(out) if name.endswith(".tmp") or "writing" in name]


def test_something_in_the_way_of_pages_and_exports_is_one_line(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench = tmp_path / "bench"
    bench.mkdir()
    write_json(bench / "bench.json", BENCH)
    (bench / "bench.html").mkdir()
    (run / "report.html").unlink()
    (run / "report.html").mkdir()
    write_file(tmp_path / "file")
    for words in (
        ["report", str(bench)],
        ["report", str(run)],
        ["export", str(run), "--format", "imagefolder", "--to", str(tmp_path / "file" / "below")],
        ["export", str(run), "--format", "parquet", "--to", str(tmp_path / "file")],
        ["distill", "digits", "--out", str(tmp_path / "file")],
        ["distill", "digits", "--out", str(tmp_path / "out"), "--store", str(tmp_path / "file")],
    ):
        assert main(words) == 2, words
        said = capsys.readouterr().err.splitlines()
        assert said[-1].startswith("wmdd: error: "), words
    assert not [name for name in names(tmp_path) if name.endswith(".tmp")]
