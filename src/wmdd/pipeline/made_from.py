"""What a result was made from: digests of the stored results that its stage reads, beside their keys.

A key says what a result should be, not what it is: a teacher that is made anew, on another machine perhaps, need not
have the same bytes. So what was made from it is made again too, and state that was saved under the old one is dropped.
"""

from collections.abc import Iterable, Mapping

from wmdd.artifacts.files import write_json
from wmdd.artifacts.folder import ResultFolder
from wmdd.artifacts.parsing import read_as
from wmdd.errors import ArtifactError
from wmdd.methods.algorithm import Result

_READ = "read.json"
"""In `work/`: the digests as they were when the stage began."""


def contents(inputs: Iterable[Result | tuple[Result, ...]]) -> dict[str, str]:
    """Return the digests of the stored results among what a stage reads, by key."""
    each = [result for part in inputs for result in (part if isinstance(part, tuple) else (part,))]
    return {result.key: content for result in each if (content := getattr(result, "content", ""))}


def has_begun(folder: ResultFolder, read: Mapping[str, str]) -> bool:
    """Return whether a stage that reads these contents has begun in an unfinished result's folder."""
    try:
        return read_as(dict[str, str], folder.work / _READ) == read
    except ArtifactError:
        return False


def begin(folder: ResultFolder, read: Mapping[str, str]) -> None:
    """Make an unfinished result's folder ready for a stage that reads these contents, without state of other ones."""
    begun = folder.work / _READ
    if begun.exists() and not has_begun(folder, read):
        folder.remove()
        folder.prepare()
    write_json(begun, read)
