"""Handles: typed, minimal access to the containers of one replica.

Not a model of a notebook (`notebook`, `runtime`) and no copy of anything: a handle reads and
writes the live document. Writes are uncommitted until `Replica.commit`. Only `crdt` makes root
handles. Text indices are code points. What the engine refuses (an index out of range, a lone
surrogate, a container that was deleted) raises InvalidEdit and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from headway.core.document.gate import Gate
from headway.core.document.json_values import identical
from headway.errors import InvalidUpdate

__all__ = [
    "MAX_DEPTH",
    "MISSING",
    "EngineTypes",
    "ListHandle",
    "MapHandle",
    "Missing",
    "OrderHandle",
    "TextHandle",
]

MAX_DEPTH = 40
"""Levels of containers that a read follows; the engine itself dies of 20,000 (measured)."""


class Missing:
    """The type of `MISSING`: no value there. None is a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class EngineTypes:
    """The engine's classes, handed down by `crdt`, the only module that imports it."""

    value: Any
    map: Any
    list: Any
    movable_list: Any
    text: Any


class _Handle:
    """A container of the engine, its gate, and the classes to make more."""

    __slots__ = ("_gate", "_types", "raw")

    def __init__(self, raw: Any, gate: Gate, types: EngineTypes) -> None:
        self.raw = raw
        self._gate = gate
        self._types = types

    def _read(self, found: Any, depth: int) -> Any:
        """A plain value of what the engine found, containers walked to `depth` levels."""
        if isinstance(found, self._types.value):
            return found.value
        container = found.container
        if isinstance(container, self._types.text):
            return container.to_string()
        if depth <= 0:
            raise InvalidUpdate(f"The document is nested more than {MAX_DEPTH} levels deep.")
        if isinstance(container, self._types.map):
            items = sorted(container.items())  # keys differ, so values are never compared
            return {key: self._read(value, depth - 1) for key, value in items}
        if isinstance(container, (self._types.list, self._types.movable_list)):
            return [self._read(container.get(at), depth - 1) for at in range(len(container))]
        raise InvalidUpdate(f"The document holds a {type(container).__name__}; none belongs there.")

    def _map(self, raw: Any) -> MapHandle:
        return MapHandle(raw, self._gate, self._types)


class MapHandle(_Handle):
    """A map: string keys to plain values or containers."""

    __slots__ = ()

    def __contains__(self, key: str) -> bool:
        with self._gate:
            return key in self.raw

    def __len__(self) -> int:
        with self._gate:
            return len(self.raw)

    def keys(self) -> list[str]:
        """The keys, sorted, so that no order of the engine's is relied on."""
        with self._gate:
            return sorted(self.raw.keys())

    def get(self, key: str, default: Any = MISSING) -> Any:
        """The value at `key`, containers as plain values; `default` where there is none."""
        with self._gate:
            found = self.raw.get(key)
            return default if found is None else self._read(found, MAX_DEPTH)

    def scalars(self, names: Iterable[str]) -> dict[str, Any]:
        """The plain values at those of `names` that have one, in one passage of the gate."""
        with self._gate:
            found = {name: self.raw.get(name) for name in names}
        kind = self._types.value
        return {name: item.value for name, item in found.items() if isinstance(item, kind)}

    def map(self, key: str) -> MapHandle | None:
        """The map container at `key`, or None for anything else."""
        raw = self._container(key, self._types.map)
        return None if raw is None else self._map(raw)

    def text(self, key: str) -> TextHandle | None:
        """The text container at `key`, or None for anything else."""
        raw = self._container(key, self._types.text)
        return None if raw is None else TextHandle(raw, self._gate, self._types)

    def list(self, key: str) -> ListHandle | None:
        """The list container at `key`, or None for anything else."""
        raw = self._container(key, self._types.list)
        return None if raw is None else ListHandle(raw, self._gate, self._types)

    def to_json(self) -> dict[str, Any]:
        """The whole map as plain values; InvalidUpdate beyond `MAX_DEPTH` levels."""
        with self._gate:
            items = sorted(self.raw.items())
            return {key: self._read(value, MAX_DEPTH - 1) for key, value in items}

    def set(self, key: str, value: Any) -> None:
        """Set a plain value; writes nothing where an equal one is."""
        with self._gate:
            self.raw.insert(key, value)

    def update(self, values: Mapping[str, Any]) -> None:
        """Set plain values, in order, in one passage of the gate."""
        with self._gate:
            _insert_values(self.raw, values)

    def delete(self, key: str) -> None:
        """Remove a key; writes nothing where there is none."""
        with self._gate:
            if key in self.raw:
                self.raw.delete(key)

    def new_map(
        self,
        key: str,
        *,
        values: Mapping[str, Any] = _NOTHING,
        texts: Mapping[str, str] = _NOTHING,
        maps: Mapping[str, Mapping[str, Any]] = _NOTHING,
    ) -> MapHandle:
        """A fresh map container at `key`; whatever was there is gone.

        It is filled in one passage of the gate: plain `values`, `texts` as text containers, and
        `maps` of JSON as map containers.
        """
        with self._gate:
            made = self._map(self.raw.insert_container(key, self._types.map()))
            _insert_values(made.raw, values)
            for name, content in texts.items():
                _insert_text(made.raw, name, self._types.text(), content)
            for name, json in maps.items():
                inside = self._map(made.raw.insert_container(name, self._types.map()))
                for inner, value in json.items():
                    inside.set_json(inner, value)
            return made

    def shared_map(self, key: str) -> MapHandle:
        """The map container at `key`, made if there is none.

        Peers that make it at the same time make the same one, so nothing of either is lost. But
        undoing the commit that made it hides what others wrote into it.
        """
        with self._gate:
            found = self.map(key)
            if found is not None:
                return found
            if key in self.raw:
                self.raw.delete(key)  # a plain value, where none belongs
            return self._map(self.raw.ensure_mergeable_map(key))

    def new_text(self, key: str, content: str = "") -> TextHandle:
        """A fresh text container at `key`; whatever was there is gone."""
        with self._gate:
            raw = _insert_text(self.raw, key, self._types.text(), content)
            return TextHandle(raw, self._gate, self._types)

    def new_list(self, key: str) -> ListHandle:
        """A fresh list container at `key`; whatever was there is gone."""
        with self._gate:
            raw = self.raw.insert_container(key, self._types.list())
            return ListHandle(raw, self._gate, self._types)

    def set_json(self, key: str, value: Any) -> None:
        """Set JSON: objects become map containers, so that edits of different keys both survive.

        An object merges into the map that is there: only keys that differ are written.
        """
        if not isinstance(value, dict):
            self._set_plain(key, value)
            return
        inside = self.map(key)
        if inside is None:
            inside = self.new_map(key)
        else:
            for gone in [name for name in inside.keys() if name not in value]:  # noqa: SIM118
                inside.delete(gone)
        for name, item in value.items():
            inside.set_json(name, item)

    def _set_plain(self, key: str, value: Any) -> None:
        if identical(self.get(key), value):
            return
        self.set(key, value)

    def _container(self, key: str, kind: Any) -> Any:
        with self._gate:
            found = self.raw.get(key)
            if found is None or isinstance(found, self._types.value):
                return None
            container = found.container
            return container if isinstance(container, kind) else None


def _insert_values(raw: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        raw.insert(key, value)


def _insert_text(raw: Any, key: str, text: Any, content: str) -> Any:
    inserted = raw.insert_container(key, text)
    if content:
        inserted.insert(0, content)
    return inserted


class ListHandle(_Handle):
    """A list of plain values and containers."""

    __slots__ = ()

    def __len__(self) -> int:
        with self._gate:
            return len(self.raw)

    def get(self, index: int) -> Any:
        """The element as a plain value; `MISSING` out of range."""
        with self._gate:
            found = self.raw.get(index)
            return MISSING if found is None else self._read(found, MAX_DEPTH)

    def map(self, index: int) -> MapHandle | None:
        """The map container at `index`, or None for anything else."""
        with self._gate:
            found = self.raw.get(index)
            if found is None or isinstance(found, self._types.value):
                return None
            container = found.container
            return self._map(container) if isinstance(container, self._types.map) else None

    def to_json(self) -> list[Any]:
        """The whole list as plain values; InvalidUpdate beyond `MAX_DEPTH` levels."""
        with self._gate:
            return [self._read(self.raw.get(at), MAX_DEPTH - 1) for at in range(len(self.raw))]

    def append(self, value: Any) -> None:
        """Append a plain value."""
        with self._gate:
            self.raw.push(value)

    def append_map(self) -> MapHandle:
        """Append a fresh map container."""
        with self._gate:
            return self._map(self.raw.push_container(self._types.map()))

    def insert(self, index: int, value: Any) -> None:
        """Insert a plain value before `index`."""
        with self._gate:
            self.raw.insert(index, value)

    def delete(self, index: int, count: int = 1) -> None:
        """Remove `count` elements from `index` on."""
        with self._gate:
            self.raw.delete(index, count)

    def clear(self) -> None:
        """Remove every element."""
        with self._gate:
            if len(self.raw):
                self.raw.clear()


class TextHandle(_Handle):
    """A text, indexed in code points."""

    __slots__ = ()

    def __len__(self) -> int:
        with self._gate:
            return len(self.raw)

    def __str__(self) -> str:
        with self._gate:
            return str(self.raw.to_string())

    def insert(self, index: int, text: str) -> None:
        """Insert before the code point at `index`."""
        with self._gate:
            self.raw.insert(index, text)

    def append(self, text: str) -> None:
        """Insert at the end."""
        with self._gate:
            self.raw.push_str(text)

    def delete(self, index: int, count: int) -> None:
        """Remove `count` code points from `index` on."""
        with self._gate:
            self.raw.delete(index, count)

    def update(self, text: str) -> None:
        """Make it hold `text` by a character diff: fine steps, time quadratic in the change."""
        with self._gate:
            self.raw.update(text)

    def update_by_line(self, text: str) -> None:
        """Make it hold `text` by a diff of lines: for larger changes."""
        with self._gate:
            self.raw.update_by_line(text)


class OrderHandle(_Handle):
    """A movable list of strings: a move is a move, also against concurrent edits."""

    __slots__ = ()

    def __len__(self) -> int:
        with self._gate:
            return len(self.raw)

    def ids(self) -> list[str]:
        """Every string in it, in order; what is no string is given as an empty one."""
        with self._gate:
            return [item if isinstance(item, str) else "" for item in self.raw.to_vec()]

    def insert(self, index: int, identity: str) -> None:
        """Insert before `index`."""
        with self._gate:
            self.raw.insert(index, identity)

    def move(self, index: int, to: int) -> None:
        """Move the element at `index` so that it is at `to` afterwards."""
        with self._gate:
            self.raw.mov(index, to)

    def delete(self, index: int, count: int = 1) -> None:
        """Remove `count` elements from `index` on."""
        with self._gate:
            self.raw.delete(index, count)
