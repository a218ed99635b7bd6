"""Data sets on the Hugging Face hub; the downloads are folders of ours."""

import sys

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub.errors import HTTPError

from parquet_files import write
from wmdd.data.sources.opening import open_data
from wmdd.errors import DataError, MissingExtraError
from wmdd.settings import DataSettings


@pytest.fixture
def hub(tmp_path, monkeypatch):
    def snapshot(repository, **options):
        assert options["repo_type"] == "dataset"
        return str(tmp_path / repository)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    return tmp_path


def test_sets_on_the_hub(hub):
    write(hub / "me/pets/big/train.parquet", [0, 1] * 5)
    write(hub / "me/pets/small/train.parquet", [0, 1])
    write(hub / "me/pets/small/test.parquet", [0, 1])
    with pytest.raises(DataError, match="got big, small; name one, such as hf:me/pets/big"):
        open_data("hf:me/pets", DataSettings())
    train, val = open_data("hf:me/pets/small", DataSettings())
    assert (train.name, len(train), len(val)) == ("pets", 2, 2)
    (hub / "me/none").mkdir()
    for source in ("hf:me/none", "hf:me/pets/other"):
        with pytest.raises(DataError, match=f"'{source}' has no Parquet files"):
            open_data(source, DataSettings())


@pytest.mark.parametrize(
    ("files", "config", "count"),
    [
        (["big/train/0000", "big/test/0000", "small/train"], "big", 3),
        (["data/big/train-0", "data/big/testing-0", "data/small/train"], "big", 3),
        (["big/Training", "big/eval", "train"], "big", 3),
        (["train", "test", "extras/one"], "", 3),
        (["data/train-0", "data/test-0", "notes/one"], "", 3),
        (["default/train/0", "default/test/0"], "", 3),
    ],
)
def test_layouts_on_the_hub(hub, files, config, count):
    for number, file in enumerate(files):
        write(hub / f"me/pets/{file}.parquet", [0, 1, 1] if number == 0 else [number % 2])
    train, val = open_data(f"hf:me/pets/{config}".rstrip("/"), DataSettings())
    assert (train.name, len(train), len(val)) == ("pets", count, 1)


def test_columns_and_damage_on_the_hub(hub):
    table = pq.read_table(write(hub / "me/pets/train.parquet", [0, 1] * 5))
    both = table.append_column("kind", pa.array(["x", "y"] * 5))
    pq.write_table(both, hub / "me/pets/train.parquet")
    train, _ = open_data("hf:me/pets", DataSettings(label_column="kind"))
    assert train.classes == ("x", "y")
    described = table.replace_schema_metadata({"huggingface": '{"info": {"features": []}}'})
    pq.write_table(described, hub / "me/pets/train.parquet")
    with pytest.raises(DataError, match=r"description of the columns of 'train.parquet' is damaged; got info.features"):
        open_data("hf:me/pets", DataSettings())


def test_only_a_config_is_downloaded(tmp_path, monkeypatch):
    asked = []

    def snapshot(*_, allow_patterns, **__):
        asked.append(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    write(tmp_path / "big/train.parquet", [0, 1] * 5)
    open_data("hf:me/pets/big", DataSettings())
    open_data("hf:me/pets", DataSettings())
    assert asked == [["big/*.parquet", "data/big/*.parquet"], ["*.parquet"]]


@pytest.mark.parametrize("reference", ["hf:pets", "hf:", "hf:a//b", "hf:a/b/c/d", "hf:a/b/..", "hf:../b", "hf:a/b/ "])
def test_names_on_the_hub_have_two_or_three_parts(reference):
    with pytest.raises(DataError, match="is named hf:OWNER/NAME or hf:OWNER/NAME/CONFIG"):
        open_data(reference, DataSettings())


def test_without_a_network(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for name, line in {"hf:me/pets": "cannot download 'hf:me/pets'; got ", "hf:me?/pets": "got Repo id must"}.items():
        with pytest.raises(DataError, match=line) as caught:
            open_data(name, DataSettings())
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [ConnectionError("no network\nat all"), ValueError(), RuntimeError("no network"), HTTPError("no network")]
)
def test_a_failing_download_is_one_line(monkeypatch, error):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(
        DataError, match="cannot download 'hf:me/pets'; got (no network|no network at all|ValueError); check"
    ) as caught:
        open_data("hf:me/pets", DataSettings())
    assert "\n" not in str(caught.value)


def test_the_hub_needs_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'wmdd\[hf\]'"):
        open_data("hf:me/pets", DataSettings())
