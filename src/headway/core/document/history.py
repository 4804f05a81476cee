"""Who wrote what, when and why: the changes behind a version, newest first.

Not undo (`undo`) and not what the changes did (`changes`). Walks the change graph itself: the
engine's own walk calls back into Python under its locks, and a callback that returns None or is
interrupted by Ctrl-C is a panic there.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headway.ids import Heads

__all__ = ["HistoryEntry", "frontier_ids", "walk_history"]


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One or more commits of one peer: who, when (seconds since 1970), why, and until where."""

    peer: int
    wall_s: int
    message: str
    heads: Heads
    operations: int


def walk_history(
    heads: bytes,
    change_at: Callable[[int, int], Any],
    heads_of: Callable[[int, int], Heads],
    limit: int,
) -> tuple[HistoryEntry, ...]:
    """At most `limit` entries, every change after all that build on it.

    `change_at(peer, counter)` gives the engine's change around an operation, or None.
    `heads_of(peer, counter)` gives the heads of one operation.
    """
    entries: list[HistoryEntry] = []
    seen: set[tuple[int, int]] = set()
    waiting: list[tuple[int, int, int]] = []
    changes: dict[tuple[int, int], Any] = {}
    reached = [heads]
    while len(entries) < limit:
        for peer, counter in frontier_ids(reached.pop()) if reached else ():
            change = change_at(peer, counter)
            if change is not None and (key := (peer, change.id.counter)) not in seen:
                seen.add(key)
                changes[key] = change
                heapq.heappush(waiting, (-(change.lamport + change.len), *key))
        if not waiting:
            break
        _, peer, first = heapq.heappop(waiting)
        change = changes.pop((peer, first))
        last = heads_of(peer, first + change.len - 1)
        entries.append(HistoryEntry(peer, change.timestamp, change.message or "", last, change.len))
        reached.append(change.deps.encode())
    return tuple(entries)


def frontier_ids(encoded: bytes) -> list[tuple[int, int]]:
    """The (peer, counter) pairs of encoded frontiers, which the engine's own type does not show.

    The form is postcard's: a count, then for each the peer and the zigzag counter, all LEB128.
    `encoded` must be what the engine encoded.
    """
    numbers: list[int] = []
    value = shift = 0
    for byte in encoded:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(value)
            value = shift = 0
    count, *rest = numbers
    assert len(rest) == 2 * count, encoded
    return [(rest[at], rest[at + 1] >> 1) for at in range(0, len(rest), 2)]
