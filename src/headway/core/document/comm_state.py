"""A widget's state as messages carry it: JSON, and binary parts that belong at paths in it.

Floor 1, pure. A message changes some keys, each as a whole: its value and its binary parts.

Source: "Jupyter Widget Messaging Protocol" 2.1, "State updates"; ipywidgets' `_remove_buffers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headway.core.document.forms import value_size
from headway.core.document.handles import MISSING

__all__ = ["KeyChange", "Path", "changed_keys", "joined", "put_buffer", "split_buffers"]

Path = tuple[str | int, ...]
"""Where a binary part belongs, from the state down; the first is a key of the state."""


@dataclass(slots=True)
class KeyChange:
    """What a key is now: a JSON value (`MISSING` when it is one binary part), and its parts."""

    value: Any = MISSING
    parts: list[tuple[Path, bytes]] = field(default_factory=list)

    def size(self) -> int:
        """In bytes: as JSON, and the binary parts."""
        plain = 0 if self.value is MISSING else value_size(self.value)
        return plain + sum(len(data) for _, data in self.parts)


def changed_keys(
    state: dict[str, Any], paths: Any = (), buffers: Sequence[bytes] = ()
) -> dict[str, KeyChange]:
    """The keys that a message changes. A path that is none is ignored, with its buffer."""
    found = {key: KeyChange(value) for key, value in state.items()}
    for path, data in zip(paths if isinstance(paths, list) else (), buffers, strict=False):
        if not isinstance(path, list | tuple) or not path or not isinstance(path[0], str):
            continue
        if all(isinstance(step, str | int) for step in path):
            found.setdefault(path[0], KeyChange()).parts.append((tuple(path), data))
    return found


def joined(
    changes: dict[str, KeyChange],
) -> tuple[dict[str, Any], list[list[str | int]], list[bytes]]:
    """The message that makes these changes: its state, its paths and its buffers."""
    state = {key: each.value for key, each in changes.items() if each.value is not MISSING}
    parts = [part for each in changes.values() for part in each.parts]
    return state, [list(path) for path, _ in parts], [data for _, data in parts]


def split_buffers(
    state: Mapping[str, Any],
) -> tuple[dict[str, Any], list[list[str | int]], list[bytes]]:
    """A state with `bytes` in it as a message: without them, their paths, and they themselves.

    In an object the key goes, in a list None stands in its place.
    """
    paths: list[list[str | int]] = []
    buffers: list[bytes] = []

    def without(value: Any, path: list[str | int]) -> Any:
        if isinstance(value, Mapping):
            return {k: without(v, [*path, k]) for k, v in value.items() if not taken(v, [*path, k])}
        if isinstance(value, list | tuple):
            return [
                None if taken(each, [*path, at]) else without(each, [*path, at])
                for at, each in enumerate(value)
            ]
        return value

    def taken(value: Any, path: list[str | int]) -> bool:
        if not isinstance(value, bytes | bytearray | memoryview):
            return False
        paths.append(path)
        buffers.append(bytes(value))
        return True

    return without(state, []), paths, buffers


def put_buffer(state: dict[str, Any], path: Sequence[str | int], data: bytes) -> None:
    """Put a binary part where it belongs; nothing happens if there is no such place."""
    inside: Any = state
    try:
        for step in path[:-1]:
            inside = inside[step]
        inside[path[-1]] = data
    except (KeyError, IndexError, TypeError):
        return
