"""YAML as plain values in plain mappings: no tags, no repeated keys, no values that contain themselves."""

from typing import Any

import yaml
from yaml.composer import ComposerError

SIZE = 1_000_000
"""Bytes of the largest file that is read; recipes have a few thousand."""
_DEPTH = 20
_NODES = 20_000


class _Loader(yaml.SafeLoader):
    """Refuses what a recipe does not need and YAML would take without a word."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if getattr(event, "tag", None) is not None:
            raise ComposerError(None, None, f"a tag ({event.tag}), which is not read", event.start_mark)
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ComposerError(None, None, f"{key.value!r} a second time", key.start_mark)
                seen.add(key.value)
        return node


def load_yaml(text: str) -> Any:
    """Return the values that YAML text holds.

    Raises:
        ValueError: it is not YAML, or has what a recipe may not have; the message is one line.
    """
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - a safe loader, made narrower
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(" ".join(str(error).replace('"<unicode string>", ', "").split())) from None
    except RecursionError:
        raise ValueError("brackets in brackets without an end") from None
    _require_plain(value)
    return value


def _require_plain(value: Any) -> None:
    """Refuse keys that are no names, integers of more than 64 bits, and aliases that make a tree too deep or large."""
    waiting, nodes = [(value, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        nodes += 1
        if depth > _DEPTH or nodes > _NODES:
            raise ValueError("an alias that contains itself, or too many values")
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise ValueError(f"the key {key!r}, which is no text: put it in quotes")
            waiting += [(part, depth + 1) for part in value.values()]
        elif isinstance(value, list):
            waiting += [(part, depth + 1) for part in value]
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError("an integer of more than 64 bits")
