"""Processors that a process may use, from made-up files of the kernel."""

from pathlib import Path

import pytest

from wmdd import processors as module
from wmdd.processors import processors, taken_by_others


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight processors by affinity; control groups and the kernel's state in an empty folder."""
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name, path in {"_GROUPS": "cgroup", "_OWN_GROUPS": "own", "_STATE": "stat"}.items():
        monkeypatch.setattr(module, name, tmp_path / path)
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    return tmp_path


def group(kernel: Path, path: str, **files: str) -> None:
    folder = kernel / "cgroup" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def test_affinity_counts_where_no_quota_is_known(kernel: Path) -> None:
    assert processors() == 8
    (kernel / "own").write_text("0::/\n")
    assert processors() == 8


@pytest.mark.parametrize(
    ("own", "above", "wanted"),
    [
        ("max 100000", "max 100000", 8),
        ("200000 100000", "max 100000", 2),
        ("max 100000", "300000 100000", 3),
        ("400000 100000", "250000 100000", 2),  # two and a half
        ("50000 100000", "max 100000", 1),
        ("6400000 100000", "max 100000", 8),
    ],
)
def test_the_smallest_quota_of_all_groups_counts(kernel: Path, own: str, above: str, wanted: int) -> None:
    (kernel / "own").write_text("0::/pod/box\n")
    group(kernel, "pod/box", cpu__max=own)
    group(kernel, "pod", cpu__max=above)
    assert processors() == wanted


def test_groups_of_version_1(kernel: Path) -> None:
    (kernel / "own").write_text("5:memory:/box\n4:cpu,cpuacct:/box\n")
    group(kernel, "cpu,cpuacct/box", cpu__cfs_quota_us="350000", cpu__cfs_period_us="100000")
    group(kernel, "memory/box", cpu__cfs_quota_us="100000", cpu__cfs_period_us="100000")
    assert processors() == 3
    group(kernel, "cpu,cpuacct/box", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert processors() == 8


def test_what_others_take(kernel: Path) -> None:
    assert taken_by_others() == 0.0
    (kernel / "stat").write_text("cpu 1 2 3\nprocs_running 4\nprocs_blocked 0\n")
    assert taken_by_others() == 3.0
    (kernel / "stat").write_text("procs_running 1\n")
    assert taken_by_others() == 0.0
