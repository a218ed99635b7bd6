"""Data sets on the Hugging Face hub, downloaded as Parquet."""

from pathlib import Path

from wmdd.data.sources.listing import Source, Splits, in_one_line
from wmdd.data.sources.parquet import list_parquet, parquet_files
from wmdd.errors import DataError, MissingExtraError


def list_hub(reference: str) -> Splits:
    """List the splits of `owner/name` or `owner/name/config`, downloaded once.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        DataError: the name is wrong, there is no network, or the set is not stored as Parquet.
    """
    parts = reference.split("/")
    if len(parts) not in {2, 3} or not all(parts):
        raise DataError(
            f"a set on the hub is named hf:OWNER/NAME or hf:OWNER/NAME/CONFIG; got 'hf:{reference}'; correct it"
        )
    repository = "/".join(parts[:2])
    folder = _download(repository).joinpath(*parts[2:])
    if not folder.is_dir() or not parquet_files(folder):
        raise DataError(f"'hf:{reference}' has no Parquet files; got other files; download it and give the folder")
    return list_parquet(folder, parts[1])


def _download(repository: str) -> Path:
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - optional
    except ImportError:
        raise MissingExtraError(
            "data from the Hugging Face hub needs huggingface_hub; got no such package; pip install 'wmdd[hf]'"
        ) from None
    try:
        return Path(snapshot_download(repository, repo_type="dataset", allow_patterns="*.parquet"))
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"cannot download 'hf:{repository}'; got {in_one_line(error)}; check the name, the network and your token"
        ) from None


HUB = Source(
    forms={
        "hf:OWNER/NAME[/CONFIG]": "Parquet files of a data set on the Hugging Face hub; needs the extra 'hf'",
    },
    claims=lambda data: data.startswith("hf:"),
    list_splits=lambda data: list_hub(data.removeprefix("hf:")),
)
