"""Seeded damage: what disks, downloads and editors do to files. Equal seeds give equal damage."""

import copy
import random
from collections.abc import Callable
from typing import Any

VALUES: tuple[Any, ...] = (None, True, -1, 10**9, 1e308, float("nan"), "", "x" * 300, [], {}, [[]], {"a": {}})


def damaged(data: bytes, seed: int) -> bytes:
    """Return bytes that differ from `data` by a flipped bit, a cut, or a block zeroed, lost, doubled or moved."""
    rng = random.Random(seed)
    at, length = rng.randrange(len(data)), rng.randrange(1, max(2, len(data) // 4))
    block = data[at : at + length]
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
        lambda: data[:at],
        lambda: data[:at] + bytes(len(block)) + data[at + len(block) :],
        lambda: data[:at] + data[at + len(block) :],
        lambda: data[:at] + block + data[at:],
        lambda: block + data[:at] + data[at + len(block) :],
    )
    changed = rng.choice(kinds)()
    return changed if changed != data else damaged(data, seed + 1_000_003)


def damaged_json(value: Any, seed: int) -> Any:
    """Return a copy of a JSON value with one node replaced by a wrong one, removed, renamed, or buried in lists."""
    rng = random.Random(seed)
    root = [copy.deepcopy(value)]
    nodes: list[tuple[Any, Any]] = []
    waiting: list[Any] = [root]
    while waiting:
        node = waiting.pop()
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            nodes.append((node, key))
            if isinstance(node[key], (dict, list)):
                waiting.append(node[key])
    node, key = rng.choice(nodes)
    action = rng.randrange(4)
    if action == 0 and node is not root:
        del node[key]
    elif action == 1 and isinstance(node, dict):
        node[f"{key}_"] = node.pop(key)
    elif action == 2:
        for _ in range(rng.choice((1, 50, 5000))):
            node[key] = [node[key]]
    else:
        node[key] = rng.choice(VALUES)
    return root[0]
