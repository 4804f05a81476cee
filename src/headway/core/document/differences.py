"""What changed between two versions, as frozen values read off the engine's diffs.

Not events (`changes` gives those names a notebook's reader knows) and not the diff itself: `crdt`
asks the engine for it. Nothing here imports the engine; its objects are told by their attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headway.core.document.handles import MISSING

__all__ = [
    "CONTAINER",
    "ContainerMarker",
    "Difference",
    "ListDifference",
    "ListSplice",
    "MapDifference",
    "Path",
    "TextDifference",
    "TextSplice",
    "Touched",
    "read_difference",
    "spliced_back",
]

Path = tuple[str | int, ...]
"""Keys and indices from a root container's name down; empty: not reachable in this version."""


class ContainerMarker:
    """The type of `CONTAINER`: a container stands here; its content has a difference of its own."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "CONTAINER"


CONTAINER = ContainerMarker()


@dataclass(frozen=True, slots=True)
class TextSplice:
    """At `index` (code points, in the text as the splices before left it), delete then insert."""

    index: int
    delete: int
    insert: str


@dataclass(frozen=True, slots=True)
class ListSplice:
    """At `index` (in the list as the splices before left it), delete then insert."""

    index: int
    delete: int
    insert: tuple[Any, ...]
    moved: bool
    """Whether what is inserted was taken from elsewhere in the same list."""


@dataclass(frozen=True, slots=True)
class TextDifference:
    """A text that changed."""

    path: Path
    splices: tuple[TextSplice, ...]


@dataclass(frozen=True, slots=True)
class ListDifference:
    """A list or movable list that changed. A move is a delete and an insert."""

    path: Path
    splices: tuple[ListSplice, ...]


@dataclass(frozen=True, slots=True)
class MapDifference:
    """A map that changed: key -> the new plain value, `CONTAINER`, or `MISSING` for removed."""

    path: Path
    changed: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Touched:
    """A container that some operation wrote to. The path is empty if it is reachable no more."""

    path: Path
    kind: str
    """`Map`, `Text`, `List`, `MovableList`, or a kind that no document of ours has."""


Difference = TextDifference | ListDifference | MapDifference


def read_difference(path: Path, diff: Any) -> Difference | None:
    """A difference from one of the engine's; None for containers that are none of ours."""
    content = diff.diff
    kind = type(diff).__name__
    if kind == "Diff_Text":
        return TextDifference(path, _text_splices(content))
    if kind == "Diff_Map":
        changed = {key: _item(value) for key, value in sorted(content.updated.items())}
        return MapDifference(path, changed)
    if kind == "Diff_List":
        return ListDifference(path, _list_splices(content))
    return None


def _item(found: Any) -> Any:
    if found is None:
        return MISSING
    return CONTAINER if hasattr(found, "container") else found.value


def _text_splices(deltas: list[Any]) -> tuple[TextSplice, ...]:
    """A run of retains, inserts and deletes as splices; neighbours are joined."""
    splices: list[TextSplice] = []
    at = 0
    for delta in deltas:
        if hasattr(delta, "retain"):
            at += delta.retain
            continue
        insert = delta.insert if hasattr(delta, "insert") else ""
        delete = delta.delete if hasattr(delta, "delete") else 0
        last = splices[-1] if splices else None
        if last is not None and last.index + len(last.insert) == at:
            splices[-1] = TextSplice(last.index, last.delete + delete, last.insert + insert)
        else:
            splices.append(TextSplice(at, delete, insert))
        at += len(insert)
    return tuple(splices)


def _list_splices(items: list[Any]) -> tuple[ListSplice, ...]:
    splices: list[ListSplice] = []
    at = 0
    for item in items:
        if hasattr(item, "retain"):
            at += item.retain
        elif hasattr(item, "insert"):
            values = tuple(_item(value) for value in item.insert)
            splices.append(ListSplice(at, 0, values, moved=bool(item.is_move)))
            at += len(values)
        else:
            splices.append(ListSplice(at, item.delete, (), moved=False))
    return tuple(splices)


def spliced_back(text: str, splices: tuple[TextSplice, ...]) -> str:
    """`text` with the splices applied, in time linear in both."""
    pieces: list[str] = []
    read = 0
    written = 0
    for splice in splices:
        kept = splice.index - written
        pieces += (text[read : read + kept], splice.insert)
        read += kept + splice.delete
        written += kept + len(splice.insert)
    pieces.append(text[read:])
    return "".join(pieces)
