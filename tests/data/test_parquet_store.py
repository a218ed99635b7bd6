"""Images in Parquet files: paths without bytes, damage found early or late."""

import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from parquet_files import LAZY, opened, png, values, write
from wmdd.data.loading import fetch_batches, in_order
from wmdd.errors import DataError

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def put(path, images, labels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": images, "label": labels}), path, **options)


def pictures(folder, count=4):
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(png(10 * (number + 1)))


def paths(*names, data=None):
    return pa.array([{"bytes": data, "path": name} for name in names], STRUCT)


@pytest.mark.parametrize("memory", [1.0, LAZY])
@pytest.mark.parametrize(("file", "folder"), [("train", "pics"), ("data/train", "data/pics"), ("data/train", "pics")])
def test_rows_without_bytes_are_files_beside(tmp_path, file, folder, memory):
    pictures(tmp_path / folder)
    images = paths("pics/0.png", "pics/1.png", "pics/../pics/2.png", str(tmp_path / folder / "3.png"))
    put(tmp_path / f"{file}.parquet", images, [0, 1, 0, 1])
    put(tmp_path / f"{file.replace('train', 'test')}.parquet", paths("pics/0.png"), [0])
    train, val = opened(tmp_path, memory_gb=memory)
    assert (values(train, [3, 2, 1, 0]), values(val, [0])) == ([40, 30, 20, 10], [10])


def test_text_is_a_path_and_bytes_come_first(tmp_path):
    pictures(tmp_path / "pics")
    write(tmp_path / "test.parquet", [0, 1], names=None)
    put(tmp_path / "train.parquet", pa.array(["pics/0.png", "pics/1.png"]), [0, 1])
    assert values(opened(tmp_path)[0]) == [10, 20]
    put(tmp_path / "train.parquet", paths("pics/0.png", "pics/1.png", data=png(99)), [0, 1])
    assert values(opened(tmp_path)[0]) == [99, 99]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("pics/9.png", "No such file or directory: .*pics/9.png"),
        ("../outside.png", "no image"),
        ("pics/../../outside.png", "no image"),
        ("pics", "Is a directory"),
        ("", "no image"),
        ("https://host/1.png", "No such file or directory"),
        ("a\0b", "embedded null byte"),
        (None, "no image"),
    ],
)
@pytest.mark.parametrize("memory", [1.0, LAZY])
def test_paths_to_nothing_are_broken_images(tmp_path, path, reason, memory):
    pictures(tmp_path / "set/pics")
    (tmp_path / "outside.png").write_bytes(png(1))
    put(tmp_path / "set/train.parquet", paths("pics/0.png", "pics/1.png", path, "pics/2.png"), [0, 1, 0, 1])
    write(tmp_path / "set/test.parquet", [0], names=None)
    with pytest.raises(DataError, match=rf"1 of 5 images .* got train.parquet row 2 \(.*{reason}"):
        opened(tmp_path / "set", memory_gb=memory)
    train, _ = opened(tmp_path / "set", memory_gb=memory, max_broken=1)
    assert values(train, [0, 1, 2]) == [10, 20, 30]


def test_fingerprint_follows_the_files_beside(tmp_path):
    pictures(tmp_path / "pics")
    put(tmp_path / "train.parquet", paths(*(f"pics/{number}.png" for number in range(4))), [0, 1, 0, 1])
    write(tmp_path / "test.parquet", [0], names=None)
    before = opened(tmp_path)[0].fingerprint
    assert opened(tmp_path)[0].fingerprint == before
    (tmp_path / "pics/2.png").write_bytes(png(99, size=(90, 90)))
    assert opened(tmp_path)[0].fingerprint != before


def flip(path, at, count=1):
    data = bytearray(path.read_bytes())
    for place in range(at, at + count):
        data[place] ^= 0x55
    path.write_bytes(data)


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_after_opening_is_one_line(tmp_path, workers):
    path = write(tmp_path / "train.parquet", [0, 1] * 6)
    write(tmp_path / "test.parquet", [0])
    train, _ = opened(tmp_path, memory_gb=LAZY)
    images = pickle.loads(pickle.dumps(train.images))  # nothing kept in memory
    start = pq.read_metadata(path).row_group(3).column(0).data_page_offset
    flip(path, start, 40)
    with pytest.raises(DataError, match=r"cannot read 'train.parquet'; got .*; fetch or write it again") as caught:
        for _ in fetch_batches(train, in_order(12, 4), workers=workers):
            pass
    assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(DataError, match="cannot read 'train.parquet'; got .*No such file"):
        images.fetch([0])


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "lz4"])
def test_checksums_find_a_changed_byte(tmp_path, compression):
    rng = np.random.default_rng(0)
    images = pa.array([png(1) + rng.bytes(100) for _ in range(6)])
    options = {"compression": compression, "use_dictionary": False, "write_page_checksum": True}
    put(tmp_path / "train.parquet", images, [0, 1] * 3, **options)
    write(tmp_path / "test.parquet", [0], names=None)
    opened(tmp_path)
    column = pq.read_metadata(tmp_path / "train.parquet").row_group(0).column(0)
    flip(tmp_path / "train.parquet", column.data_page_offset + column.total_compressed_size - 20)
    with pytest.raises(DataError, match="cannot read 'train.parquet'; got .*CRC"):
        opened(tmp_path)


@pytest.mark.parametrize("place", ["header", "footer", "tail", "middle"])
def test_files_that_are_not_whole(tmp_path, place):
    path = write(tmp_path / "train.parquet", [0, 1] * 6)
    data = path.read_bytes()
    cut = {"header": data[4:], "footer": data[:-20], "tail": data[:-4] + b"PARE", "middle": data[:300] + data[400:]}
    path.write_bytes(cut[place])
    with pytest.raises(DataError, match=r"cannot read 'train.parquet'; got .*; fetch or write it again"):
        opened(tmp_path)
