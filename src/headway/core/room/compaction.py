"""When a document's long tail of updates becomes one snapshot.

Floor 3. It watches the records that the room asks for and counts what each document has gathered
since its last snapshot. A snapshot is asked for only when everything is durable and nothing is
uncommitted: then it holds exactly what the store holds, and wherever a crash comes the store has
the tail or the snapshot, whole.

The tail may grow with the document, so that rewriting it costs each update a bounded share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headway.core.room.effects import Compact, Effect, Persist, RuntimeReplaced, UpdateStored
from headway.core.sync.fanout import HostedDocument
from headway.ids import DocumentId

__all__ = ["COMPACT_BYTES", "COMPACT_UPDATES", "SNAPSHOT_BYTES_PER_UPDATE", "Compaction"]

COMPACT_UPDATES = 1_000
"""A tail of this many updates is compacted, or of more when the document is large."""

COMPACT_BYTES = 1024 * 1024
"""A tail of this many bytes is compacted, or one as long as the last snapshot."""

SNAPSHOT_BYTES_PER_UPDATE = 1024
"""A snapshot this many times as long as COMPACT_UPDATES allows a longer tail in proportion."""


@dataclass(slots=True)
class _Tail:
    """What one document has gathered since its last snapshot, which had `snapshot_bytes`."""

    snapshot_bytes: int = 0
    updates: int = 0
    size: int = 0

    @property
    def is_long(self) -> bool:
        allowed = max(COMPACT_UPDATES, self.snapshot_bytes // SNAPSHOT_BYTES_PER_UPDATE)
        return self.updates >= allowed or self.size >= max(COMPACT_BYTES, self.snapshot_bytes)


class Compaction:
    """The tails of one room's documents.

    Args:
        document: The notebook's id.
        snapshot: Its stored snapshot, if there is one.
        updates: Its stored updates after that.
    """

    def __init__(
        self, document: DocumentId, snapshot: bytes | None, updates: Sequence[bytes]
    ) -> None:
        self._tails = {document: _Tail(len(snapshot or b""), len(updates), sum(map(len, updates)))}

    def watch(self, effects: Iterable[Effect]) -> None:
        """Count what these effects add to the store."""
        for effect in effects:
            if isinstance(effect, Persist):
                for record in effect.records:
                    if isinstance(record, UpdateStored):
                        tail = self._tails.setdefault(record.document, _Tail())
                        tail.updates += 1
                        tail.size += len(record.update)
                    elif isinstance(record, RuntimeReplaced):
                        self._begin_runtime(record)

    def due(self, hosted: Iterable[HostedDocument]) -> list[Effect]:
        """The snapshots to take now, when everything recorded is durable."""
        found: list[Effect] = []
        for each in hosted:
            tail = self._tails.get(each.room)
            if tail is None or not tail.is_long or not _is_all_durable(each):
                continue
            snapshot = each.replica.export()
            self._tails[each.room] = _Tail(len(snapshot))
            found.append(Compact(each.room, snapshot))
        return found

    def _begin_runtime(self, record: RuntimeReplaced) -> None:
        for earlier in [each for each in self._tails if each != record.notebook]:
            del self._tails[earlier]
        self._tails[record.runtime] = _Tail(len(record.snapshot))


def _is_all_durable(hosted: HostedDocument) -> bool:
    replica = hosted.replica
    return not replica.pending_operations() and replica.version() == hosted.durable
