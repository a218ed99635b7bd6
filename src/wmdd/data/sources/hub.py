"""Data sets on the Hugging Face hub, downloaded as Parquet."""

import glob
from collections.abc import Sequence
from pathlib import Path

from wmdd.data.sources.listing import Source, Splits, in_one_line
from wmdd.data.sources.parquet import list_parquet
from wmdd.data.sources.parquet_folders import parquet_sets
from wmdd.errors import DataError, MissingExtraError
from wmdd.settings import DataSettings


def list_hub(reference: str, settings: DataSettings) -> Splits:
    """List the splits of `owner/name` or `owner/name/config`, downloaded once.

    A config is a folder of the repository, or of its `data/`; only its files are downloaded.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        DataError: the name is wrong, there is no network, the set is not stored as Parquet, or it has several configs.
    """
    parts = reference.split("/")
    if len(parts) not in {2, 3} or not all(part.strip(". ") for part in parts):
        raise DataError(
            f"a set on the hub is named hf:OWNER/NAME or hf:OWNER/NAME/CONFIG; got 'hf:{reference}'; correct it"
        )
    repository, configs = "/".join(parts[:2]), parts[2:]
    places = [f"{folder}{config}/" for config in configs for folder in ("", "data/")]
    root = _download(repository, [f"{glob.escape(place)}*.parquet" for place in places] or ["*.parquet"])
    folders = [root / place for place in places] or [root]
    folder, sets = next(
        ((folder, sets) for folder in folders if any((sets := parquet_sets(folder)).values())), (root, {"": []})
    )
    if len(sets) > 1:
        first = next(iter(sets)).removeprefix("data/")
        advice = "download it and give one of these folders" if configs or "/" in first else None
        raise DataError(
            f"'hf:{reference}' holds several sets of Parquet files; got {', '.join(sets)}; "
            f"{advice or f'name one, such as hf:{repository}/{first}'}"
        )
    if not any(sets.values()):
        where = f"no folder {' or '.join(map(repr, places))} with any" if places else "other files"
        raise DataError(f"'hf:{reference}' has no Parquet files; got {where}; download it and give the folder")
    return list_parquet(folder, parts[1], settings)


def _download(repository: str, patterns: Sequence[str]) -> Path:
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - optional
        from huggingface_hub.errors import HTTPError  # noqa: PLC0415 # pyright: ignore[reportPrivateImportUsage]
    except ImportError:
        raise MissingExtraError(
            "data from the Hugging Face hub needs huggingface_hub; got no such package; pip install 'wmdd[hf]'"
        ) from None
    try:
        return Path(snapshot_download(repository, repo_type="dataset", allow_patterns=list(patterns)))
    except (OSError, ValueError, RuntimeError, HTTPError) as error:
        raise DataError(
            f"cannot download 'hf:{repository}'; got {in_one_line(error)}; check the name, the network and your token"
        ) from None


HUB = Source(
    forms={
        "hf:OWNER/NAME[/CONFIG]": "Parquet files of a data set on the Hugging Face hub; needs the extra 'hf'",
    },
    claims=lambda data: data.startswith("hf:"),
    list_splits=lambda data, settings: list_hub(data.removeprefix("hf:"), settings),
    has_columns=True,
)
