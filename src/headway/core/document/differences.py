"""What changed in texts between two versions, as frozen values read off the engine's diffs.

Not the diff itself: `past` asks the engine for it. Nothing here imports the engine; its objects are
told by their attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "Path",
    "TextDifference",
    "TextSplice",
    "Touched",
    "read_difference",
    "spliced_back",
]

Path = tuple[str | int, ...]
"""Keys and indices from a root container's name down; empty: not reachable in this version."""


@dataclass(frozen=True, slots=True)
class TextSplice:
    """At `index` (code points, in the text as the splices before left it), delete then insert."""

    index: int
    delete: int
    insert: str


@dataclass(frozen=True, slots=True)
class TextDifference:
    """A text that changed."""

    path: Path
    splices: tuple[TextSplice, ...]


@dataclass(frozen=True, slots=True)
class Touched:
    """A container that some operation wrote to. The path is empty if it is reachable no more."""

    path: Path
    kind: str
    """`Map`, `Text`, `List`, `MovableList`, or a kind that no document of ours has."""


def read_difference(path: Path, diff: Any) -> TextDifference | None:
    """A difference from one of the engine's; None for containers that are no texts."""
    if type(diff).__name__ != "Diff_Text":
        return None
    return TextDifference(path, _text_splices(diff.diff))


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
