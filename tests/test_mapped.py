"""Mapped tensors: what is written stays, what was read is given back to the system."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from wmdd.mapped import Gathered, byte_blocks, give_back, map_file, row_blocks, scratch, taken

MEGABYTE = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def resident(values: torch.Tensor) -> int:
    """Return how many bytes of the file that a tensor lies in are in this process's memory."""
    begin = f"{values.untyped_storage().data_ptr():x}-"
    lines = iter(Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines())
    assert any(line.startswith(begin) for line in lines)
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))


@linux
def test_pages_that_are_given_back_leave_memory_and_come_again(tmp_path: Path) -> None:
    values = scratch((32, MEGABYTE), torch.uint8, tmp_path)
    values.fill_(3)
    assert resident(values) > 0  # how much of it depends on what else needs memory
    assert give_back(values[5, 7:])  # any part stands for the whole
    assert resident(values) == 0
    assert int(values.long().sum()) == 3 * 32 * MEGABYTE
    assert resident(values) > 0


@linux
def test_taking_rows_one_after_the_other_holds_none_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(bytes(range(256)) * (8 * MEGABYTE // 256))
    with path.open("rb") as file:
        values = map_file(file, shared=False).view(8, MEGABYTE)
    for rows in (*(slice(at, at + 1) for at in range(8)), torch.tensor([3, 5])):
        found = taken(values, rows)
        assert resident(values) == 0
        assert torch.equal(found[0, :256], torch.arange(256, dtype=torch.uint8))


@linux
def test_blocks_of_a_file_are_given_back_one_by_one(tmp_path: Path) -> None:
    values = scratch((8, MEGABYTE), torch.uint8, tmp_path)
    seen = 0
    for rows in row_blocks(values, size=2 * MEGABYTE):
        assert resident(values) == 0
        seen += len(values[rows].clone())
        assert resident(values) > 0
    assert seen == 8
    assert resident(values) == 0


def test_the_file_has_what_is_written_into_a_shared_map(tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_bytes(bytes(64))
    with path.open("r+b") as file:
        values = map_file(file, shared=True).view(torch.float32).view(4, 4)
    values[2] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    give_back(values)
    stored = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.float32).view(4, 4)
    assert torch.equal(stored, values)
    assert stored[2].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_scratch_leaves_no_file_and_may_be_empty(tmp_path: Path) -> None:
    values = scratch((3, 2), torch.int64, tmp_path)
    assert values.tolist() == [[0, 0]] * 3
    assert list(tmp_path.iterdir()) == []
    assert scratch((), torch.float32).shape == ()
    assert scratch((0, 5), torch.float16).shape == (0, 5)


def test_other_tensors_are_left_alone() -> None:
    values = torch.arange(12.0).view(4, 3)
    assert not give_back(values)
    assert taken(values, slice(1, 3)).data_ptr() == values[1].data_ptr()  # a view: nothing is copied
    assert torch.equal(taken(values, torch.tensor([2, 0])), values[[2, 0]])


@pytest.mark.parametrize(
    "values", [torch.arange(10.0), torch.rand(7, 3, 2).half(), torch.tensor(True), torch.empty(0, 4)]
)
def test_blocks_cover_everything_in_order(values: torch.Tensor) -> None:
    assert b"".join(byte_blocks(values)) == values.numpy().tobytes()
    if values.ndim:
        rows = [row for block in row_blocks(values, size=9) for row in range(block.start, block.stop)]
        assert rows == list(range(len(values)))


def test_rows_are_gathered_in_any_order_where_they_are_told_to_be(tmp_path: Path) -> None:
    made: list[tuple[tuple[int, ...], torch.dtype]] = []

    def make(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        made.append((tuple(shape), dtype))
        return scratch(shape, dtype, tmp_path)

    room = Gathered(count=5, make=make)
    values, names = torch.rand(5, 2), torch.arange(5)
    for rows in (slice(3, 5), slice(0, 1), slice(1, 3)):
        room.put(rows.start, {"values": values[rows], "names": names[rows]})
    assert made == [((5, 2), torch.float32), ((5,), torch.int64)]
    assert torch.equal(room.tensors["values"], values)
    assert torch.equal(room.tensors["names"], names)
