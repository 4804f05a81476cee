"""Comms as the runtime document holds them: what is written, and what any replica reads.

Floor 1. Not what comms say (`comms`). Of each comm there is a map with plain fields, and two maps
whose keys are those of its state, so that a change of one key is one small operation:

    comms          comm id -> {target_name, execution_id, is_open, metadata, data, data_buffers,
                   left_out, state: {key: value or reference}, buffers: {key: [{path, blob, size}]}}
    comm_messages  {last, ring: [{n, comm_id, data, buffers}, ...], left_out_comms}
    widgets        {saved: reference}: what the file had as widget state before any kernel ran

References are as those of outputs (`forms`). A key whose value is one binary part is only in
`buffers`. A comm whose kernel is gone is not open any more; its last state stays to be shown until
another kernel opens comms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headway.core.document.crdt import Replica
from headway.core.document.forms import is_reference, value_size
from headway.core.document.handles import MapHandle
from headway.ids import ExecutionId

__all__ = [
    "MAX_SHOWN_MESSAGES",
    "WIDGET_TARGET",
    "CommChange",
    "CommMessageRecord",
    "CommReader",
    "CommRecord",
    "CommWriter",
    "TakenComms",
]

WIDGET_TARGET = "jupyter.widget"
"""The target name of comms that are widgets."""

MAX_SHOWN_MESSAGES = 200
"""Messages without state that the document shows, the newest."""

_FIELDS = ("target_name", "execution_id", "is_open", "metadata", "data", "data_buffers")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommRecord:
    """One comm. `state` and `data` in the document's form: large values are references."""

    comm_id: str
    target_name: str
    execution_id: ExecutionId | None = None
    """The execution whose code opened it."""
    is_open: bool = True
    """Whether the kernel that has it lives."""
    metadata: dict[str, Any] = field(default_factory=dict)
    data: Any = None
    """What it was opened with; a widget's is in its state."""
    data_buffers: tuple[dict[str, Any], ...] = ()
    state: dict[str, Any] = field(default_factory=dict)
    buffers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    """Keys that found no room, with their sizes in bytes."""

    @property
    def is_widget(self) -> bool:
        """Whether it is the comm of a widget that can be shown again."""
        return self.target_name == WIDGET_TARGET and isinstance(self.state.get("_model_name"), str)

    def sizes(self) -> dict[str, int]:
        """What each key takes, in bytes."""
        found = {
            key: value["size"] if is_reference(value) else value_size(value)
            for key, value in self.state.items()
        }
        for key, parts in self.buffers.items():
            found[key] = found.get(key, 0) + sum(int(part["size"]) for part in parts)
        return found

    def blobs(self) -> Iterator[str]:
        """The SHA-256 of every blob that it refers to."""
        values = (self.data, *self.data_buffers, *self.state.values())
        parts = (part for each in self.buffers.values() for part in each)
        yield from (each["blob"] for each in (*values, *parts) if is_reference(each))


@dataclass(frozen=True, slots=True)
class CommMessageRecord:
    """A message without state: the `number`-th of the notebook."""

    number: int
    comm_id: str
    data: Any
    """As the kernel sent it, or a reference."""
    buffers: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class CommChange:
    """What to write of one comm."""

    comm_id: str
    opened: CommRecord | None
    """Of a new one, its fields; its state is in the other members."""
    values: dict[str, Any]
    buffers: dict[str, list[dict[str, Any]]]
    touched: tuple[str, ...]
    """Keys that changed. What is in neither `values` nor `buffers` is gone there."""
    left_out: dict[str, int]
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class TakenComms:
    """What to store first, and then what to write, in this order."""

    blobs: tuple[tuple[str, bytes], ...]
    closed: tuple[str, ...]
    changes: tuple[CommChange, ...]
    messages: tuple[dict[str, Any], ...]
    left_out_comms: int


class CommReader:
    """What any replica of a runtime document says of comms."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._comms = replica.map("comms")
        self._messages = replica.map("comm_messages")
        self._widgets = replica.map("widgets")

    def record(self, comm_id: str) -> CommRecord | None:
        """One comm, or None."""
        with self._replica.lock:
            found = self._comms.map(comm_id)
            return None if found is None else _record(comm_id, found.to_json())

    def records(self) -> list[CommRecord]:
        """Every comm that the document has, in the order of their ids."""
        with self._replica.lock:
            found = [self.record(comm_id) for comm_id in self._comms.keys()]  # noqa: SIM118
        return [record for record in found if record is not None]

    def messages(self, after: int = 0) -> list[CommMessageRecord]:
        """The newest messages without state, those numbered above `after`."""
        ring = self._messages.list("ring")
        shown = [] if ring is None else ring.to_json()
        return [
            CommMessageRecord(each["n"], each["comm_id"], each["data"], tuple(each["buffers"]))
            for each in shown
            if isinstance(each, dict) and each.get("n", 0) > after
        ]

    @property
    def last_message(self) -> int:
        """How many messages without state there ever were."""
        last = self._messages.get("last", 0)
        return last if isinstance(last, int) else 0

    @property
    def left_out(self) -> int:
        """How many comms were too many to be kept."""
        count = self._messages.get("left_out_comms", 0)
        return count if isinstance(count, int) else 0

    @property
    def saved_widgets(self) -> dict[str, Any] | None:
        """A reference to what the file had as widget state before any kernel ran."""
        saved = self._widgets.get("saved", None)
        return saved if is_reference(saved) else None


class CommWriter:
    """The one writer of comms in a runtime document. What it writes is committed elsewhere."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._comms = replica.map("comms")
        self._messages = replica.map("comm_messages")
        self._widgets = replica.map("widgets")

    def write(self, taken: TakenComms) -> None:
        """What changed; of the messages the newest `MAX_SHOWN_MESSAGES` stay."""
        with self._replica.lock:
            for comm_id in taken.closed:
                self._comms.delete(comm_id)
            for change in taken.changes:
                self._write_change(change)
            if taken.messages:
                self._write_messages(taken.messages)
            if taken.left_out_comms != self._messages.get("left_out_comms", 0):
                self._messages.set("left_out_comms", taken.left_out_comms)

    def set_saved_widgets(self, reference: dict[str, Any] | None) -> None:
        """What the file has as widget state; None when there is none, or a kernel has other."""
        if reference is None:
            self._widgets.delete("saved")
        else:
            self._widgets.set("saved", dict(reference))

    def carry_over(self, old: CommReader) -> None:
        """Fill this fresh document with all that `old` says of comms."""
        for record in old.records():
            opened = replace(record, state={}, buffers={})
            change = CommChange(
                record.comm_id,
                opened,
                record.state,
                record.buffers,
                (),
                record.left_out,
                record.is_open,
            )
            self._write_change(change)
        shown = [
            {"n": each.number, "comm_id": each.comm_id, "data": each.data}
            | {"buffers": list(each.buffers)}
            for each in old.messages()
        ]
        if shown:
            self._write_messages(shown)
        if old.last_message:
            self._messages.set("last", old.last_message)
        if old.left_out:
            self._messages.set("left_out_comms", old.left_out)
        if (saved := old.saved_widgets) is not None:
            self.set_saved_widgets(saved)

    def _write_change(self, change: CommChange) -> None:
        comm = self._comms.map(change.comm_id)
        if change.opened is not None:
            if change.opened.target_name == WIDGET_TARGET:
                self._widgets.delete("saved")
            comm = self._comms.new_map(change.comm_id)
            for name in _FIELDS:
                value = getattr(change.opened, name)
                comm.set(name, list(value) if isinstance(value, tuple) else value)
        if comm is None:
            return
        if not change.is_open:
            comm.set("is_open", False)
        state, buffers = _inner(comm, "state"), _inner(comm, "buffers")
        for inner, written in ((state, change.values), (buffers, change.buffers)):
            for key in change.touched:
                if key not in written:
                    inner.delete(key)
            for key, value in written.items():
                inner.set(key, value)
        if change.left_out != comm.get("left_out", {}):
            comm.set("left_out", change.left_out)

    def _write_messages(self, messages: Sequence[dict[str, Any]]) -> None:
        ring = self._messages.list("ring")
        if ring is None:
            ring = self._messages.new_list("ring")
        for message in messages:
            ring.append(message)
        if len(ring) > MAX_SHOWN_MESSAGES:
            ring.delete(0, len(ring) - MAX_SHOWN_MESSAGES)
        self._messages.set("last", messages[-1]["n"])


def _inner(comm: MapHandle, name: str) -> MapHandle:
    found = comm.map(name)
    return comm.new_map(name) if found is None else found


def _record(comm_id: str, fields: dict[str, Any]) -> CommRecord | None:
    target_name = fields.get("target_name")
    if not isinstance(target_name, str):
        return None
    execution_id = fields.get("execution_id")
    return CommRecord(
        comm_id=comm_id,
        target_name=target_name,
        execution_id=execution_id if isinstance(execution_id, str) else None,
        is_open=fields.get("is_open") is True,
        metadata=_object(fields, "metadata"),
        data=fields.get("data"),
        data_buffers=tuple(_references(fields.get("data_buffers"))),
        state=_object(fields, "state"),
        buffers={
            key: list(_references(parts)) for key, parts in _object(fields, "buffers").items()
        },
        left_out=_object(fields, "left_out"),
    )


def _object(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _references(parts: Any) -> Iterable[dict[str, Any]]:
    return (part for part in parts if is_reference(part)) if isinstance(parts, list) else ()
