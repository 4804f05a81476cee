"""The engine, and everything dangerous about it: the only importer of `loro`.

Not a notebook: `schema` names the containers, `notebook` and `runtime` give them meaning.
A `Replica` is one live document. Closed here, each with a test in test_crdt_hazards:

- errors are bare BaseExceptions: every call passes the `gate`; after a panic the replica is dead;
- a subscriber in one thread and an export in another deadlock: no callback is ever given to the
  engine; one re-entrant lock for each replica, held only for engine calls;
- vectors and frontiers include uncommitted operations, and exports, imports and diffs commit them
  without time or message: each of these asserts that nothing is uncommitted;
- a peer id used twice diverges in silence: `load` and imports refuse foreign changes under ours;
- a checkout detaches, so there is none: the past is read by reverse diffs over bounded distances;
- frontiers the replica does not have panic in half of the calls: they are looked up first; and
  those with a negative counter panic in that too: they are refused before;
- imports are limited by size, operations and gaps before, and by what is pending after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import loro

from headway.core.document.bulk import first_of, first_operation
from headway.core.document.differences import TextDifference, Touched
from headway.core.document.frontiers import has_negative_counter
from headway.core.document.gate import EngineLock, Gate
from headway.core.document.handles import (
    EngineTypes,
    ListHandle,
    MapHandle,
    OrderHandle,
    TextHandle,
)
from headway.core.document.history import HistoryEntry, walk_history
from headway.core.document.json_values import encodable
from headway.core.document.limits import (
    DEFAULT_LIMITS,
    MAX_DIFF_OPERATIONS,
    MAX_IMPORT_OPERATIONS,
    MAX_SCAN_OPERATIONS,
    TRUSTED,
    ImportLimits,
)
from headway.core.document.past import Past, Point, operations_in
from headway.errors import HeadsUnknown, InvalidEdit, InvalidUpdate, MissingChanges
from headway.ids import Heads

__all__ = [
    "CHANGE_MERGE_INTERVAL_S",
    "DEFAULT_LIMITS",
    "MAX_DIFF_OPERATIONS",
    "MAX_IMPORT_OPERATIONS",
    "MAX_SCAN_OPERATIONS",
    "TRUSTED",
    "HistoryEntry",
    "ImportLimits",
    "Imported",
    "Replica",
    "Touched",
    "Version",
    "new_presence_engine",
]

UNDO_PASSES_OVER: Final = "passed over"
"""Where the engine is told that a commit comes from, if undo takes it for somebody else's."""

CHANGE_MERGE_INTERVAL_S = 60
"""Commits of one peer with equal messages within this time share one history entry."""

_TYPES: Final = EngineTypes(
    value=loro.ValueOrContainer.Value,
    map=loro.LoroMap,
    list=loro.LoroList,
    movable_list=loro.LoroMovableList,
    text=loro.LoroText,
)

_FULL_MODES = (loro.EncodedBlobMode.Snapshot, loro.EncodedBlobMode.Updates)


class Version:
    """Which changes a replica holds, exactly, deletions included. Immutable; equal by content."""

    __slots__ = ("_hash", "vector")
    EMPTY: ClassVar[Version]

    def __init__(self, vector: loro.VersionVector) -> None:
        self.vector = vector
        self._hash: int | None = None

    @staticmethod
    def decode(data: bytes) -> Version:
        """The version that `encode` gave; InvalidUpdate for anything else."""
        with Gate(EngineLock(), InvalidUpdate):
            return Version(loro.VersionVector.decode(data))

    def encode(self) -> bytes:
        """As the engine encodes vectors, in every language. Equal versions may differ in bytes."""
        return self.vector.encode()

    def includes(self, other: Version) -> bool:
        """Whether every change of `other` is in this."""
        return self.vector.includes_vv(other.vector)

    def merged(self, other: Version) -> Version:
        """The changes of both."""
        vector = loro.VersionVector.decode(self.vector.encode())
        vector.merge(other.vector)
        return Version(vector)

    def operations_since(self, other: Version) -> int:
        """How many operations are in this and not in `other`."""
        return operations_in(self.vector.sub_iter(other.vector))

    @property
    def is_empty(self) -> bool:
        """Whether there is no change in it."""
        return not self._spans()

    def _spans(self) -> dict[int, tuple[int, int]]:
        return self.vector.to_spans().inner()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.vector == other.vector

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._spans().items()))
        return self._hash

    def __repr__(self) -> str:
        ends = {peer: end for peer, (_, end) in sorted(self._spans().items())}
        return f"Version({ends})"


Version.EMPTY = Version(loro.VersionVector())  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `changed` is False for what was known already.

    `shown` is where the update itself ended: whoever sent it holds that, and it is less than
    `after` when we had changes of our own.
    """

    before: Version
    after: Version
    heads_before: Heads
    heads_after: Heads
    changed: bool
    shown: Version


class Replica:
    """One live document. Starts empty; `load` starts from what is stored.

    Safe to use from several threads: each call takes `lock` for as long as the engine works.
    Hold `lock` around several calls to make them one, never across an await or a callback.

    Args:
        peer: a fresh random id, never given to another replica, of this or any other life.
    """

    def __init__(self, peer: int) -> None:
        self.peer: Final = peer
        self._engine = engine = EngineLock()
        self.lock: Final = engine.lock
        self.gate = Gate(engine, InvalidEdit)
        self._foreign = Gate(engine, InvalidUpdate)
        self._doc = loro.LoroDoc()  # type: ignore[no-untyped-call]
        self._past = Past(self._doc, loro.ID)
        self.has_undo = False
        """Whether somebody may take commits back."""
        self._last_touched: tuple[object, tuple[Touched, ...]] = (None, ())
        self._last_step: dict[Heads, Point] = {}
        """Both ends of the last import, which its readers ask for next."""
        with self.gate:
            self._doc.peer_id = peer
            self._doc.set_change_merge_interval(CHANGE_MERGE_INTERVAL_S)

    @classmethod
    def load(cls, peer: int, snapshot: bytes | None, updates: Iterable[bytes]) -> Replica:
        """The document that a snapshot and the updates after it make, in any order.

        Raises InvalidUpdate for bytes that are none, and MissingChanges if some are missing.
        """
        replica = cls(peer)
        if snapshot is not None:
            replica.import_update(snapshot, TRUSTED)
        batch = list(updates)
        # One after the other: a batch is merged detached, and the difference to the whole of it
        # is computed after that, which takes ten times as long.
        if not all(replica._merge_stored(update) for update in batch):
            with replica._foreign:
                if not _is_complete(replica._doc.import_batch(batch)):
                    raise _missing()
        return replica

    def _merge_stored(self, update: bytes) -> bool:
        """Merge an update of the store; False if it came before one that it builds on."""
        with self._foreign:
            metadata = loro.LoroDoc.decode_import_blob_meta(update, check_checksum=False)
            return _is_complete(self._merge(update, metadata))

    def _merge(self, data: bytes, metadata: Any) -> loro.ImportStatus:
        first = first_operation(loro, self._doc, data, metadata)
        if first is not None:
            self._doc.import_(first)
        return self._doc.import_(data)

    def rebuilt(self, peer: int, until: Version | None = None) -> Replica:
        """A fresh replica of the same content, or of its content as it was at `until`."""
        return Replica.load(peer, self.export(until=until), ())

    def map(self, name: str) -> MapHandle:
        """A root map."""
        with self.gate:
            return MapHandle(self._doc.get_map(name), self.gate, _TYPES)

    def list(self, name: str) -> ListHandle:
        """A root list."""
        with self.gate:
            return ListHandle(self._doc.get_list(name), self.gate, _TYPES)

    def order(self, name: str) -> OrderHandle:
        """A root movable list."""
        with self.gate:
            return OrderHandle(self._doc.get_movable_list(name), self.gate, _TYPES)

    def condemn(self, reason: str) -> None:
        """Let nobody use this replica again: every later call raises EngineFailure."""
        with self.lock:
            self._engine.broken = reason

    def pending_operations(self) -> int:
        """Operations written and not yet committed."""
        with self.gate:
            return self._doc.get_pending_txn_len()

    def commit(self, wall_s: float, message: str, *, undoable: bool = True) -> bool:
        """Commit what was written; True if that was anything.

        The time is kept in whole seconds, and never earlier than this peer's last. What is not
        `undoable` is no step, and undo leaves it as it leaves what others wrote.
        """
        with self.gate:
            if not self._doc.get_pending_txn_len():
                return False
            self._doc.commit_with(
                origin=None if undoable else UNDO_PASSES_OVER,
                timestamp=int(wall_s),
                commit_msg=encodable(message) or None,
            )
            return True

    def new_undo_engine(self) -> Any:
        """The engine's undo manager, for `undo.Undo` only."""
        with self.gate:
            self.has_undo = True
            engine = loro.UndoManager(self._doc)
            engine.add_exclude_origin_prefix(UNDO_PASSES_OVER)
            return engine

    def commit_by(self, step: Callable[[], bool], wall_s: float, message: str) -> bool:
        """Run an engine step that commits by itself, under this time and message."""
        with self.gate:
            self._settled()
            self._doc.set_next_commit_options(
                timestamp=int(wall_s), commit_msg=encodable(message) or None
            )
            try:
                return step()
            finally:
                self._doc.clear_next_commit_options()

    def heads(self) -> Heads:
        """The heads of everything committed. Commit first: uncommitted operations are a bug."""
        with self.gate:
            self._settled()
            return Heads(self._doc.oplog_frontiers.encode())

    def version(self) -> Version:
        """The version of everything committed. Commit first."""
        with self.gate:
            self._settled()
            return Version(self._doc.oplog_vv)

    def contains(self, heads: Heads) -> bool:
        """Whether every change up to `heads` is here; InvalidUpdate if `heads` are malformed."""
        with self._foreign:
            return self._doc.frontiers_to_vv(_frontiers(heads)) is not None

    def version_at(self, heads: Heads) -> Version:
        """All changes up to `heads`; HeadsUnknown if some are missing here."""
        with self._foreign:
            return Version(self._at(heads)[1])

    def heads_of(self, version: Version) -> Heads:
        """The heads of what this replica has of `version`."""
        with self.gate:
            self._settled()
            had = version.vector.intersection(self._doc.oplog_vv)
            return Heads(self._doc.vv_to_frontiers(had).encode())

    def export(self, since: Version | None = None, until: Version | None = None) -> bytes:
        """The changes after `since` up to `until` (None: all); a snapshot if that is everything.

        What this replica does not have is left out in silence; knowing more is no error.
        """
        with self.gate:
            self._settled()
            if until is not None:
                had = until.vector.intersection(self._doc.oplog_vv)
                spans = had.sub_iter((since or Version.EMPTY).vector)
                return self._doc.export(loro.ExportMode.UpdatesInRange(spans))
            if since is None or since.is_empty:
                return self._doc.export(loro.ExportMode.Snapshot())
            return self._doc.export(loro.ExportMode.Updates(since.vector))

    def export_first(self, since: Version, until: Version) -> bytes | None:
        """The first operation between two versions, to be sent before a large rest; else None."""
        with self.gate:
            self._settled()
            return first_of(loro, self._doc, since.vector, until.vector)

    def import_update(self, data: bytes, limits: ImportLimits = DEFAULT_LIMITS) -> Imported:
        """Merge an update or a snapshot; the same again is harmless.

        Raises:
            UpdateTooLarge: over a limit; nothing was merged.
            InvalidUpdate: no update, or changes of a second replica with our peer id.
            MissingChanges: it builds on changes that are not here. Most gaps are seen before;
                after one that is not, `version()` may cover a part of the update.
            EngineFailure: the engine panicked; rebuild the replica.
        """
        with self._foreign:
            self._settled()
            before = self._point()
            limits.check_bytes(len(data))
            metadata = loro.LoroDoc.decode_import_blob_meta(data, check_checksum=True)
            self._check_metadata(metadata, limits, before[1])
            heads_before = Heads(before[0].encode())
            if not _is_complete(self._merge(data, metadata)):
                raise _missing()
            after = self._point()
            heads_after = Heads(after[0].encode())
            self._last_step = {heads_before: before, heads_after: after}
        return Imported(
            Version(before[1]),
            Version(after[1]),
            heads_before,
            heads_after,
            changed=heads_before != heads_after,
            shown=Version(metadata.partial_end_vv),
        )

    def _check_metadata(self, metadata: Any, limits: ImportLimits, ours: Any) -> None:
        if metadata.mode not in _FULL_MODES:
            raise InvalidUpdate("A shallow or outdated export cannot be merged; send full history.")
        ends = metadata.partial_end_vv
        if _end(ends, self.peer) > _end(ours, self.peer):
            raise InvalidUpdate(
                "Another replica writes under this replica's peer id; give each live one its own.",
                peer=str(self.peer),
            )
        if not ours.includes_vv(metadata.partial_start_vv):
            raise _missing()
        if limits.max_operations is not None:
            limits.check_operations(operations_in(ends.sub_iter(ours)))

    def touched(self, before: Heads, after: Heads) -> tuple[Touched, ...]:
        """The containers that the operations between two versions wrote to. Cheap, unlike a diff.

        Raises HeadsUnknown, HeadsTooOld beyond `MAX_SCAN_OPERATIONS`, and InvalidUpdate if one is
        nested deeper than `MAX_DEPTH`.
        """
        with self._foreign:
            self._settled()
            # Paths are those of now. Several readers ask for the same step, right after it.
            asked = (before, after, self._doc.oplog_frontiers.encode())
            if asked != self._last_touched[0]:
                found = self._past.touched(self._at(before), self._at(after))
                self._last_touched = (asked, found)
            return self._last_touched[1]

    def keys_written(self, root: str, before: Heads, after: Heads) -> frozenset[str]:
        """The keys of a root map that were set or removed between two versions.

        Takes time in the size of what was written. Raises HeadsUnknown, and HeadsTooOld beyond
        `MAX_SCAN_OPERATIONS`.
        """
        with self._foreign:
            self._settled()
            return frozenset(self._past.keys_written(root, self._at(before), self._at(after)))

    def differences(self, before: Heads, after: Heads) -> tuple[TextDifference, ...]:
        """How the texts reachable now differ between two versions.

        Raises HeadsUnknown, and HeadsTooOld beyond `MAX_DIFF_OPERATIONS`.
        """
        with self._foreign:
            self._settled()
            return self._past.differences(self._at(before), self._at(after))

    def text_at(
        self, text: TextHandle, owner: MapHandle, heads: Heads, limit: int = MAX_DIFF_OPERATIONS
    ) -> str | None:
        """What `text` held at `heads`; None if it or `owner`, the map it is in, did not exist.

        Nearly free if nothing was written since, cheap if the text was not touched since.
        Raises HeadsUnknown, and HeadsTooOld if it was touched and that lies more than `limit`
        operations back.
        """
        with self._foreign:
            self._settled()
            if heads == self._doc.oplog_frontiers.encode():
                return str(text.raw.to_string())
            return self._past.text_at(text.raw, owner.raw, self._at(heads), self._point(), limit)

    def history(self, limit: int = 100) -> tuple[HistoryEntry, ...]:
        """Who wrote what when, newest first, at most `limit` entries."""

        def change_at(peer: int, counter: int) -> loro.ChangeMeta | None:
            return self._doc.get_change(loro.ID(peer, counter))

        def heads_of(peer: int, counter: int) -> Heads:
            return Heads(loro.Frontiers.from_id(loro.ID(peer, counter)).encode())

        with self.gate:
            self._settled()
            return walk_history(self._doc.oplog_frontiers.encode(), change_at, heads_of, limit)

    def _point(self) -> Point:
        return self._doc.oplog_frontiers, self._doc.oplog_vv

    def _at(self, heads: Heads) -> Point:
        point = self._last_step.get(heads)
        if point is not None:
            return point
        frontiers = _frontiers(heads)
        vector = self._doc.frontiers_to_vv(frontiers)
        if vector is None:
            raise HeadsUnknown("This replica does not have every change of these heads yet.")
        return frontiers, vector

    def _settled(self) -> None:
        """An uncommitted operation here would be committed without its time and message."""
        assert not self._doc.get_pending_txn_len(), "commit before reading versions or exchanging"


def _frontiers(heads: Heads) -> loro.Frontiers:
    if has_negative_counter(heads):
        raise InvalidUpdate("These heads name a change that nobody can have made.")
    return loro.Frontiers.decode(heads)


def _is_complete(status: loro.ImportStatus) -> bool:
    return status.pending is None or status.pending.is_empty


def _end(vector: loro.VersionVector, peer: int) -> int:
    last = vector.get_last(peer)
    return 0 if last is None else last + 1


def new_presence_engine(timeout_ms: int) -> Any:
    """The engine's ephemeral store, for `presence.PresenceStore` only."""
    return loro.EphemeralStore(timeout_ms)


def _missing() -> MissingChanges:
    return MissingChanges("The update builds on changes that are not here; join again to get them.")
