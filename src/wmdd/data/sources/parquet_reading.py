"""Parquet files as Arrow reads them, with every error about a file in one line.

Checksums of pages are verified where a file has them. `datasets`, pandas and pyarrow write none by default: then a
changed byte within a page that still decodes cannot be told from data.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wmdd.data.sources.listing import in_one_line
from wmdd.errors import DataError


@contextmanager
def reading(file: str) -> Generator[None]:
    """Turn whatever Arrow raises about a damaged or missing file into one `DataError` that names it."""
    try:
        yield
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError, MemoryError) as error:
        raise DataError(f"cannot read {file!r}; got {in_one_line(error)}; fetch or write it again") from None


def shown(*names: object) -> str:
    """Return names of columns, types or files, which may hold line breaks, for a line of a message."""
    return ", ".join(" ".join(str(name).split()) for name in names)


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a file for reading without Arrow's own threads: worker processes may be forked from one that has some."""
    return pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
