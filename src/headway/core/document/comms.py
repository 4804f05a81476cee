"""The comms of a notebook's kernel: from what is said on them to few changes of the document.

Floor 1, pure. Fed as messages come and asked with `take` now and then, as the output assembler is
(`outputs`). Of a widget the state is kept, key by key, the newest value of each: a slider that was
dragged for a second is a few changes. What has no state (custom messages, comms that are no
widgets) is numbered and shown in a ring of the last `MAX_SHOWN_MESSAGES`; who finds a gap in the
numbers knows how many were missed.

Nothing large enters the document: values above the threshold and all binary parts are blobs. So
that a widget which sends pictures without end does not fill the disk, what becomes blobs has an
allowance that grows with time; a comm over it waits, and shows its newest state then.

State is bounded (`MAX_COMMS`, `MAX_COMM_STATE_BYTES`). What is over is left out by key, with its
size in the record, and the first time in words among the outputs of the cell that made the comm.

Source: "Jupyter Widget Messaging Protocol" 2.1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headway.core.document.comm_records import (
    MAX_SHOWN_MESSAGES,
    CommChange,
    CommRecord,
    TakenComms,
)
from headway.core.document.comm_state import KeyChange
from headway.core.document.forms import BlobSet, value_form
from headway.core.document.handles import MISSING
from headway.core.document.mime import BLOB_THRESHOLD_BYTES
from headway.ids import ExecutionId

__all__ = [
    "LARGE_BURST_BYTES",
    "LARGE_BYTES_PER_S",
    "MAX_COMMS",
    "MAX_COMM_STATE_BYTES",
    "Comms",
    "comms_left_out_text",
    "state_left_out_text",
]

MAX_COMMS = 10_000
"""Comms of one kernel that are kept; a slider is three (itself, its layout and its style)."""

MAX_COMM_STATE_BYTES = 64 * 1024 * 1024
"""What the state of all comms of a notebook may take, as JSON and binary parts."""

LARGE_BURST_BYTES = 64 * 1024 * 1024
"""What comms may put into blobs at once."""

LARGE_BYTES_PER_S = 4 * 1024 * 1024
"""How fast that allowance grows back."""

_JSON = "application/json"

_Message = tuple[int, str, dict[str, Any], Sequence[bytes]]
"""Its number, its comm, its data and its buffers."""


def comms_left_out_text() -> str:
    """What is said when there are too many comms."""
    return (
        f"[Headway keeps the state of at most {MAX_COMMS:,} widgets of a kernel: "
        "of those made from here on it keeps none.]\n"
    )


def state_left_out_text(key: str, size: int) -> str:
    """What is said when a value finds no room."""
    return (
        f"[Headway left out {size:,} bytes of widget state ({key!r}): the widgets of a notebook "
        f"keep at most {MAX_COMM_STATE_BYTES:,} bytes.]\n"
    )


@dataclass(slots=True)
class _Comm:
    record: CommRecord
    opening: tuple[dict[str, Any], Sequence[bytes]] | None
    """Of one that the document has not: what it was opened with, and that message's buffers."""
    sizes: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    pending: dict[str, KeyChange] = field(default_factory=dict)
    removed: dict[str, None] = field(default_factory=dict)
    """Keys that lost their place in the document."""
    large_bytes: int = 0
    """Of what is pending, what will be in blobs."""


class Comms:
    """See the module."""

    def __init__(self) -> None:
        self._comms: dict[str, _Comm] = {}
        self._closed: dict[str, None] = {}
        self._dirty: dict[str, _Comm] = {}
        self._kept_bytes = 0
        self._left_out_comms = self._left_out_told = 0
        self._has_ended = False
        """Whether the kernel of those there are is gone."""
        self._messages: deque[_Message] = deque(maxlen=MAX_SHOWN_MESSAGES)
        self._said = 0
        self._notes: list[tuple[ExecutionId | None, str]] = []
        self._has_noted = False
        self._allowance = float(LARGE_BURST_BYTES)
        self._allowance_at_s = float("-inf")
        self.waits_until_s: float | None = None
        """When what is over the allowance can be taken; None when nothing waits."""

    def __contains__(self, comm_id: str) -> bool:
        return comm_id in self._comms

    @property
    def has_news(self) -> bool:
        """Whether `take` may have something to give."""
        is_told = self._left_out_comms == self._left_out_told
        return bool(self._dirty or self._closed or self._messages or not is_told)

    def ids(self) -> list[str]:
        """The comms there are, in the order of opening."""
        return list(self._comms)

    def target_name(self, comm_id: str) -> str | None:
        """What a comm was opened for; None if it is unknown, or one too many."""
        found = self._comms.get(comm_id)
        return None if found is None else found.record.target_name

    def execution_id(self, comm_id: str) -> ExecutionId | None:
        """The execution whose code opened the comm, directly or by a widget's callback."""
        found = self._comms.get(comm_id)
        return None if found is None else found.record.execution_id

    @property
    def has_open(self) -> bool:
        """Whether any of them is of a kernel that was alive when last heard of."""
        return bool(self._comms) and not self._has_ended

    def resume(self, records: Iterable[CommRecord], last_message: int) -> None:
        """The document has these already, of a kernel that lives on or ended."""
        self._said = last_message
        for record in records:
            comm = _Comm(record, None, record.sizes(), dict(record.left_out))
            self._comms[record.comm_id] = comm
            self._kept_bytes += sum(comm.sizes.values())
            self._has_ended = self._has_ended or not record.is_open

    def opened(
        self, record: CommRecord, data: dict[str, Any], buffers: Sequence[bytes] = ()
    ) -> bool:
        """A comm was opened with `data`; False if it is one too many. State comes by `update`."""
        self.forget_ended()
        self.closed(record.comm_id)
        if len(self._comms) >= MAX_COMMS:
            if not self._left_out_comms:
                self._notes.append((record.execution_id, comms_left_out_text()))
            self._left_out_comms += 1
            return False
        self._comms[record.comm_id] = self._dirty[record.comm_id] = _Comm(record, (data, buffers))
        return True

    def update(self, comm_id: str, changes: Mapping[str, KeyChange]) -> None:
        """New values of some keys. Ignored if the comm is unknown."""
        comm = self._comms.get(comm_id)
        if comm is None or not changes:
            return
        for key, change in changes.items():
            self._set(comm, key, change)
        self._dirty[comm_id] = comm

    def say(self, comm_id: str, data: dict[str, Any], buffers: Sequence[bytes]) -> None:
        """A message without state. Ignored if the comm is unknown."""
        if comm_id in self._comms:
            self._said += 1
            self._messages.append((self._said, comm_id, data, buffers))

    def closed(self, comm_id: str) -> None:
        """A comm was closed: nothing of it is kept."""
        comm = self._comms.pop(comm_id, None)
        if comm is None:
            return
        self._dirty.pop(comm_id, None)
        self._kept_bytes -= sum(comm.sizes.values())
        if comm.opening is None:
            self._closed[comm_id] = None

    def ended(self) -> None:
        """The kernel is gone. What its comms showed last stays, until another kernel opens some."""
        self._has_ended = bool(self._comms)
        self._dirty.update(self._comms)

    def forget_ended(self) -> None:
        """Nothing is kept of comms whose kernel is gone."""
        if self._has_ended:
            self._clear()

    def _clear(self) -> None:
        for comm_id in self.ids():
            self.closed(comm_id)
        self._has_ended = self._has_noted = False
        self._left_out_comms = 0

    def take(self, now_s: float) -> TakenComms:
        """What changed since the last time: blobs to store, then what to write.

        `now_s` is monotonic.
        """
        blobs = BlobSet()
        self._grow_allowance(now_s)
        changes: list[CommChange] = []
        waiting: dict[str, _Comm] = {}
        for comm_id, comm in self._dirty.items():
            if comm.large_bytes and self._allowance <= 0:
                waiting[comm_id] = comm
                continue
            self._allowance -= comm.large_bytes
            changes.append(_change(comm, blobs, is_open=not self._has_ended))
        closed, self._closed, self._dirty = tuple(self._closed), {}, waiting
        messages = tuple(_message_form(*each, blobs) for each in self._messages)
        self._messages.clear()
        wait_s = (1.0 - self._allowance) / LARGE_BYTES_PER_S
        self.waits_until_s = now_s + wait_s if waiting else None
        self._left_out_told = self._left_out_comms
        return TakenComms(blobs.taken(), closed, tuple(changes), messages, self._left_out_comms)

    def take_notes(self) -> list[tuple[ExecutionId | None, str]]:
        """What a person must be told since the last time, and among which execution's outputs."""
        notes, self._notes = self._notes, []
        return notes

    def _set(self, comm: _Comm, key: str, change: KeyChange) -> None:
        size = change.size()
        former = comm.sizes.pop(key, 0)
        if self._kept_bytes - former + size > MAX_COMM_STATE_BYTES:
            self._kept_bytes -= former
            comm.left_out[key] = size
            comm.pending.pop(key, None)
            comm.removed[key] = None
            if not self._has_noted:
                self._has_noted = True
                self._notes.append((comm.record.execution_id, state_left_out_text(key, size)))
        else:
            self._kept_bytes += size - former
            comm.sizes[key] = size
            comm.left_out.pop(key, None)
            comm.pending[key] = change
            comm.removed.pop(key, None)
        comm.large_bytes = sum(
            comm.sizes[each]
            for each, pending in comm.pending.items()
            if pending.parts or comm.sizes[each] > BLOB_THRESHOLD_BYTES
        )

    def _grow_allowance(self, now_s: float) -> None:
        grown = self._allowance + (now_s - self._allowance_at_s) * LARGE_BYTES_PER_S
        self._allowance = min(float(LARGE_BURST_BYTES), grown)
        self._allowance_at_s = now_s


def _change(comm: _Comm, blobs: BlobSet, *, is_open: bool) -> CommChange:
    opened: CommRecord | None = None
    if comm.opening is not None:
        data, buffers = comm.opening
        opened = replace(
            comm.record,
            data=value_form(_JSON, data, blobs),
            data_buffers=tuple(blobs.add(each) for each in buffers),
        )
        comm.opening = None
    change = CommChange(
        comm.record.comm_id,
        opened,
        {
            key: value_form(_JSON, pending.value, blobs)
            for key, pending in comm.pending.items()
            if pending.value is not MISSING
        },
        {
            key: [{"path": list(path), **blobs.add(data)} for path, data in pending.parts]
            for key, pending in comm.pending.items()
            if pending.parts
        },
        tuple({**comm.removed, **comm.pending}),
        dict(comm.left_out),
        is_open,
    )
    comm.pending.clear()
    comm.removed.clear()
    comm.large_bytes = 0
    return change


def _message_form(
    number: int, comm_id: str, data: Any, buffers: Sequence[bytes], blobs: BlobSet
) -> dict[str, Any]:
    return {
        "n": number,
        "comm_id": comm_id,
        "data": value_form(_JSON, data, blobs),
        "buffers": [blobs.add(each) for each in buffers],
    }
