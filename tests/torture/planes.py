"""A disk as two planes: what was synced, and what was not and may be lost in any way.

Replayed from a trace. At any point `cut` gives one of the states a power cut may leave: of each
file's writes since its last sync none, all, the first ones with the last one torn, or any sectors
of any of them survive; of the names made, moved and taken away since a folder's last sync none,
all, the first or any survive, whatever became of the files' bytes. That is more than any file
system in use does to programs, so what survives here survives there. Two things are taken for
granted: a sector of 512 bytes is old or new, and a rename within one folder is whole.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from torture.trace import Event

__all__ = ["Disk", "Tree"]

Tree = dict[str, bytes | None]
"""A folder: relative path -> bytes; None for a folder."""

_SECTORS = (512, 4096)


@dataclass
class _Change:
    """One change that was not synced yet. Of a file: bytes or a size. Of a folder: names."""

    when: int
    offset: int = 0
    content: bytes | None = None
    size: int | None = None
    names: tuple[tuple[str, int | None], ...] = ()


@dataclass
class _Node:
    is_folder: bool
    content: bytes = b""
    names: dict[str, int] = field(default_factory=dict)
    pending: list[_Change] = field(default_factory=list)


class Disk:
    """Everything in one folder, which is there and empty at first."""

    def __init__(self) -> None:
        self._nodes = [_Node(is_folder=True)]
        self._live: dict[str, int] = {"": 0}
        self._files: dict[int, int] = {}
        self._clock = 0

    def new_life(self) -> None:
        """The process ended, and the next one began: nothing is lost by that."""
        self._files.clear()

    def apply(self, event: Event, number: int) -> None:
        """The event `number` of a trace happened."""
        self._clock = number
        match event.kind:
            case "create" | "open":
                if event.path not in self._live:
                    self._appear(event.path, is_folder=False)
                self._files[event.file] = self._live[event.path]
            case "folder":
                self._appear(event.path, is_folder=True)
            case "write":
                change = _Change(number, offset=event.offset, content=event.content)
                self._nodes[self._files[event.file]].pending.append(change)
            case "truncate":
                change = _Change(number, size=event.size)
                self._nodes[self._files[event.file]].pending.append(change)
            case "sync":
                self._sync(self._nodes[self._files[event.file]], event.began)
            case "link":
                self._live[event.other] = self._live[event.path]
                self._rename(((event.other, self._live[event.path]),))
            case "rename":
                node = self._live.pop(event.path)
                self._live[event.other] = node
                self._rename(((event.path, None), (event.other, node)))
            case "exchange":
                one, other = self._live[event.path], self._live[event.other]
                self._live |= {event.path: other, event.other: one}
                self._rename(((event.path, other), (event.other, one)))
            case "unlink":
                self._live.pop(event.path)
                self._rename(((event.path, None),))
            case _:
                raise AssertionError(event.kind)

    def cut(self, dice: random.Random, way: int) -> Tree:
        """A state that a power cut now may leave; the first ways are the plain ones."""
        data, names = _WAYS[way] if way < len(_WAYS) else (_mixed, _mixed)
        tree: Tree = {}
        self._plant(tree, "", 0, dice, data, names)
        return tree

    def _appear(self, path: str, *, is_folder: bool) -> None:
        self._nodes.append(_Node(is_folder))
        self._live[path] = len(self._nodes) - 1
        self._rename(((path, self._live[path]),))

    def _rename(self, names: tuple[tuple[str, int | None], ...]) -> None:
        folders = {str(PurePosixPath(path).parent).removeprefix(".") for path, _ in names}
        for folder in sorted(folders):
            here = tuple(
                (PurePosixPath(path).name, node)
                for path, node in names
                if str(PurePosixPath(path).parent).removeprefix(".") == folder
            )
            owner = self._nodes[self._live[folder]]
            owner.pending.append(_Change(self._clock, names=here))

    def _sync(self, node: _Node, began: int) -> None:
        covered = [change for change in node.pending if change.when < began]
        node.pending = [change for change in node.pending if change.when >= began]
        if node.is_folder:
            _rename_in(node.names, covered)
        else:
            node.content = _written(node.content, covered)

    def _plant(
        self,
        tree: Tree,
        path: str,
        number: int,
        dice: random.Random,
        data: _Way,
        names: _Way,
    ) -> None:
        node = self._nodes[number]
        if not node.is_folder:
            tree[path] = _written(node.content, data(node.pending, dice))
            return
        if path:
            tree[path] = None
        entries = dict(node.names)
        _rename_in(entries, names(node.pending, dice))
        for name, inner in sorted(entries.items()):
            self._plant(tree, f"{path}/{name}" if path else name, inner, dice, data, names)


_Way = Callable[[list[_Change], random.Random], list[_Change]]
"""Which of the changes that were not synced survive."""


def _none(_pending: list[_Change], _dice: random.Random) -> list[_Change]:
    return []


def _all(pending: list[_Change], _dice: random.Random) -> list[_Change]:
    return pending


def _first(pending: list[_Change], dice: random.Random) -> list[_Change]:
    """The first ones, the last of them torn."""
    kept = pending[: dice.randint(0, len(pending))]
    if kept and kept[-1].content is not None:
        pieces = _pieces(kept[-1], dice.choice(_SECTORS))
        kept = kept[:-1] + pieces[: dice.randint(0, len(pieces))]
    return kept


def _any(pending: list[_Change], dice: random.Random) -> list[_Change]:
    """Any sectors of any of them."""
    sector = dice.choice(_SECTORS)
    share = dice.choice((0.1, 0.5, 0.9))
    pieces = [piece for change in pending for piece in _pieces(change, sector)]
    return [piece for piece in pieces if dice.random() < share]


def _sizes(pending: list[_Change], dice: random.Random) -> list[_Change]:
    """The files are as long as they should be, and what was written is zeros."""
    grown = [_grown(change) for change in pending if change.content is not None]
    return [*grown, *_any(pending, dice)] if dice.random() < 0.5 else list(grown)


def _mixed(pending: list[_Change], dice: random.Random) -> list[_Change]:
    return dice.choice((_none, _all, _first, _any, _any, _sizes))(pending, dice)


_WAYS: tuple[tuple[_Way, _Way], ...] = (
    (_none, _none),
    (_all, _all),
    (_none, _all),
    (_all, _none),
    (_sizes, _all),
    (_first, _first),
)


def _pieces(change: _Change, sector: int) -> list[_Change]:
    if change.content is None:
        return [change]
    pieces = []
    place = 0
    while place < len(change.content):
        room = sector - (change.offset + place) % sector
        content = change.content[place : place + room]
        pieces.append(_Change(change.when, change.offset + place, content))
        place += room
    return pieces


def _grown(change: _Change) -> _Change:
    assert change.content is not None
    return _Change(change.when, change.offset + len(change.content), b"")


def _written(content: bytes, changes: list[_Change]) -> bytes:
    if not changes:
        return content
    result = bytearray(content)
    for change in changes:
        if change.size is not None:
            del result[change.size :]
            result.extend(bytes(change.size - len(result)))
        elif change.content is not None:
            result.extend(bytes(max(0, change.offset - len(result))))
            result[change.offset : change.offset + len(change.content)] = change.content
    return bytes(result)


def _rename_in(entries: dict[str, int], changes: list[_Change]) -> None:
    for change in changes:
        for name, node in change.names:
            if node is None:
                entries.pop(name, None)
            else:
                entries[name] = node
