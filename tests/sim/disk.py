"""A disk with two planes: what was written, and what a power cut cannot take away.

Transactions become durable in order, each whole. A crash keeps the durable plane and any prefix
of the volatile one. A shadow of each document follows the durable plane, so that whether
something is durable is one comparison of versions.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from headway.core.document.crdt import Replica, Version
from headway.core.room.effects import (
    Compact,
    ExecutionAccepted,
    ExecutionFinished,
    FileIntended,
    FileRecorded,
    Persist,
    Record,
    RuntimeReplaced,
    StoreBlob,
    UpdateStored,
)
from headway.core.room.opening import Opening
from sim.timeline import Timeline

__all__ = ["Disk"]


@dataclass
class _Written:
    token: int | None
    records: tuple[Record | Compact, ...]
    blobs: dict[str, bytes]


@dataclass
class Disk:
    """The store of one notebook."""

    timeline: Timeline
    dice: random.Random
    delay_s: float
    document: str
    path: str | None
    finished_twice: Callable[[str], None]
    compacted: Callable[[], None]
    snapshot: bytes | None = None
    updates: list[bytes] = field(default_factory=list)
    runtime: str | None = None
    runtime_snapshot: bytes | None = None
    runtime_updates: list[bytes] = field(default_factory=list)
    accepted: dict[str, ExecutionAccepted] = field(default_factory=dict)
    finished: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    base: bytes | None = None
    intended: bytes | None = None
    shadows: dict[str, Replica] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    volatile: list[_Written] = field(default_factory=list)
    _blobs: dict[str, bytes] = field(default_factory=dict)
    _busy: bool = False
    _refuses: bool = False
    _life: int = 0
    _done: Callable[[int, bool], None] = lambda _token, _succeeded: None

    def __post_init__(self) -> None:
        self._shadow(self.document, None)

    def durable(self, document: str) -> Version:
        """What of a document no crash can take away."""
        return self.versions.get(document, Version.EMPTY)

    def store_blob(self, effect: StoreBlob) -> None:
        self._blobs[effect.sha256] = effect.data

    def persist(self, effect: Persist, done: Callable[[int, bool], None], *, fails: bool) -> None:
        """Write; `done(token, True)` once it is durable, or False when the disk refuses.

        After that it takes nothing until it is opened again, as the daemon's lane does: what a
        room asks for with its last effects would have a gap before it.
        """
        if self._refuses:
            return
        self.volatile.append(_Written(effect.token, effect.records, self._blobs))
        self._blobs = {}
        if fails:
            life = self._life
            self.timeline.after(self.delay_s, lambda: self._fail(effect.token, done, life))
        elif not self._busy:
            self._done = done
            self._begin(done)

    def compact(self, document: str, snapshot: bytes) -> None:
        """Put a snapshot in the place of a document's updates, with the next commit."""
        if self._refuses:
            return
        compact = Compact(document, snapshot)
        self.volatile.append(_Written(None, (compact,), {}))
        if not self._busy:
            self._begin(self._done)

    def crash(self) -> int:
        """The power is gone; gives how many transactions it took along."""
        self._life += 1
        self._busy = False
        kept = self.dice.randint(0, len(self.volatile))
        lost = len(self.volatile) - kept
        for written in self.volatile[:kept]:
            self._apply(written)
        self.volatile.clear()
        self._blobs = {}
        return lost

    def opening(self, file: bytes | None) -> Opening:
        """What a room is opened from."""
        self._refuses = False
        unfinished = tuple(
            accepted
            for accepted in self.accepted.values()
            if accepted.execution_id not in self.finished and accepted.runs_as not in self.finished
        )
        return Opening(
            document=self.document,
            path=self.path,
            snapshot=self.snapshot,
            updates=tuple(self.updates),
            runtime_snapshot=self.runtime_snapshot,
            runtime_updates=tuple(self.runtime_updates),
            base=self.base,
            intended=self.intended,
            file=file,
            taken={each.execution_id: each.runs_as for each in self.accepted.values()},
            unfinished=unfinished,
        )

    def _begin(self, done: Callable[[int, bool], None]) -> None:
        """Commit what waits now, as one group."""
        self._busy = True
        group = len(self.volatile)
        life = self._life
        delay_s = self.delay_s * self.dice.uniform(0.5, 2.0)
        self.timeline.after(delay_s, lambda: self._commit(group, done, life))

    def _commit(self, group: int, done: Callable[[int, bool], None], life: int) -> None:
        if life != self._life:
            return
        last: int | None = None
        for written in self.volatile[:group]:
            self._apply(written)
            last = written.token if written.token is not None else last
        del self.volatile[:group]
        self._busy = False
        # The word of it travels too: a crash may come between the disk and the room.
        self.timeline.after(self.delay_s * 0.1, lambda: self._tell(last, done, life))
        if self.volatile:
            self._begin(done)

    def _tell(self, last: int | None, done: Callable[[int, bool], None], life: int) -> None:
        """The last token of a commit says it for all before it, as the daemon's lane does."""
        if last is not None and life == self._life:
            done(last, True)

    def _fail(self, token: int, done: Callable[[int, bool], None], life: int) -> None:
        if life == self._life:
            # What was not durable is gone with it.
            self._life += 1
            self._busy = False
            self._refuses = True
            self.volatile.clear()
            done(token, False)

    def _shadow(self, document: str, snapshot: bytes | None) -> None:
        shadow = Replica(len(self.shadows) + 2)
        if snapshot is not None:
            shadow.import_update(snapshot)
        self.shadows[document] = shadow
        self.versions[document] = shadow.version()

    def _compacted(self, document: str, snapshot: bytes) -> None:
        replaced = Replica(1)
        replaced.import_update(snapshot)
        if replaced.version() != self.versions[document]:
            raise AssertionError("a snapshot holds exactly what it replaces")
        self.compacted()
        if document == self.document:
            self.snapshot, self.updates = snapshot, []
        elif document == self.runtime:
            self.runtime_snapshot, self.runtime_updates = snapshot, []

    def _apply(self, written: _Written) -> None:
        self.blobs |= written.blobs
        for record in written.records:
            match record:
                case UpdateStored(document=document, update=update):
                    if document == self.document:
                        self.updates.append(update)
                    elif document == self.runtime:
                        self.runtime_updates.append(update)
                    shadow = self.shadows[document]
                    shadow.import_update(update)
                    self.versions[document] = shadow.version()
                case Compact(document=document, snapshot=snapshot):
                    self._compacted(document, snapshot)
                case RuntimeReplaced(runtime=runtime, snapshot=snapshot):
                    self.runtime, self.runtime_snapshot = runtime, snapshot
                    self.runtime_updates = []
                    self._shadow(runtime, snapshot)
                case ExecutionAccepted(execution_id=execution_id):
                    self.accepted[execution_id] = record
                case ExecutionFinished(execution_id=execution_id, record=ended):
                    if execution_id in self.finished:
                        self.finished_twice(execution_id)
                    self.finished[execution_id] = ended
                case FileRecorded(content=content, path=path):
                    self.base, self.path = content, path
                    self.intended = None
                case FileIntended(content=content):
                    self.intended = content
