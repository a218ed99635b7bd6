"""The identity of a result: a hash of everything that can change it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

LENGTH = 12
InputKeys = Sequence[str | Sequence[str]]
"""Keys of what a stage reads; of a tuple of records, the list of their keys."""


def result_key(stage: str, version: int, settings: Mapping[str, Any], inputs: InputKeys) -> str:
    """Return the key of a stage's result, 12 hexadecimal digits.

    Args:
        stage: name of the stage.
        version: version of its code.
        settings: everything else that can change the answer, ready for JSON.
        inputs: keys of the records that the stage reads, in order.
    """
    identity = {"stage": stage, "version": version, "settings": dict(settings), "inputs": list(inputs)}
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]
