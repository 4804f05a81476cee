"""What must be true, kept in books of its own and checked at every step.

The oracle knows what clients asked, what a batch covers, what the durable plane holds and what
the kernel received and said. It trusts neither an acknowledgement nor a status.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from headway.core.document.crdt import Replica, Version
from headway.core.document.notebook import NotebookDocument
from headway.core.document.runtime import TERMINAL, ExecutionRecord, RuntimeReader
from headway.core.kernel.events import (
    DisplayData,
    ErrorOutput,
    ExecuteResult,
    KernelEvent,
    Stream,
)
from headway.core.room.effects import InputReply
from headway.core.room.inheritance import DAEMON_ENDED
from headway.core.room.opening import Opening
from headway.core.room.room import Room
from headway.core.wire import codec, rpc
from headway.core.wire.messages import (
    Ack,
    Fragment,
    FragmentHeader,
    Joined,
    Kind,
    Message,
    Update,
    UpdateStatus,
)
from headway.errors import InputNotAwaited
from headway.ids import derived_execution_id
from sim.books import (
    Asked,
    Violation,
    end_of,
    image,
    is_gap,
    is_part,
    is_prefix,
    lines,
    question_of,
)

if TYPE_CHECKING:
    from sim.links import Frame
    from sim.world import World

__all__ = ["Oracle"]


class Oracle:
    """The books of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: dict[str, Asked] = {}
        self.given: dict[str, str] = {}
        self.said: dict[str, list[KernelEvent]] = {}
        self.accepted: dict[str, str] = {}
        self.repeated: dict[str, None] = {}
        self.answers: dict[str, str] = {}
        """What the kernel asked, and the answer that it was given."""
        self._gaps: dict[str, int] = {}
        """Executions that nobody heard for a while, and how much they had said before."""
        self._calls = 0
        self._turns: dict[str, int] = {}
        self._last_turn: dict[str, int] = {}
        self.batches: dict[str, list[str]] = {}
        self.ever_deleted: dict[str, None] = {}
        self._covers: dict[tuple[int, bytes], Version] = {}
        self._halves: dict[tuple[int, bytes, bool], list[bytes]] = {}
        self._ends: dict[bytes, Version] = {}
        self._shown: dict[bytes, None] = {}
        self._waiting_before: dict[str, None] = {}
        self._swept: dict[str, None] = {}
        self._sweeps_checked: dict[str, None] = {}

    def require(self, holds: bool, name: str, detail: object = "") -> None:
        if not holds:
            raise Violation(name, str(detail))

    # What travels

    def client_sends(self, number: int, frame: Frame) -> None:
        """A client's frame: note what each of its batches covers."""
        if isinstance(frame, str) or not frame.startswith(b"%LOR"):
            return
        message = codec.decode(frame)
        update = self._whole(number, message, up=True)
        if update is not None and isinstance(message, Update | Fragment):
            self._covers[number, message.batch_id] = end_of(update)

    def daemon_sends(self, number: int, frames: tuple[bytes, ...]) -> None:
        """The room's frames, at the instant it sends them."""
        for frame in frames:
            if frame.startswith(b"%LOR"):
                self._daemon_says(number, frame)

    def _daemon_says(self, number: int, frame: bytes) -> None:
        if frame in self._shown:
            return
        message = codec.decode(frame)
        assert not isinstance(message, codec.Unknown)
        match message:
            case Ack(status=UpdateStatus.OK):
                self._acknowledged(number, message)
            case Ack(status=status):
                self.world.hit(f"refusal {status.name}")
            case Joined(room=room, version=version):
                self._show(room, Version.decode(version) if version else Version.EMPTY)
            case Update() | FragmentHeader() | Fragment():
                update = self._whole(number, message, up=False)
                if update is not None:
                    self._show(message.room, end_of(update))
                if isinstance(message, Update):
                    self._shown[frame] = None
            case _:
                self.world.hit(f"{type(message).__name__} by the daemon")

    def _acknowledged(self, number: int, message: Ack) -> None:
        covers = self._covers.get((number, message.batch_id))
        self.require(
            covers is not None, "an Ack answers a batch that was sent whole", message.batch_id
        )
        assert covers is not None
        room = self.world.daemon.room
        assert room is not None
        self.require(
            room.notebook.replica.version().includes(covers), "an Ack covers what is merged"
        )
        self.require(
            self.world.disk.durable(message.room).includes(covers), "an Ack covers what is durable"
        )

    def _show(self, room: str, version: Version) -> None:
        durable = self.world.disk.durable(room)
        self.require(durable.includes(version), "what is shown is durable", room[:2])

    def _whole(self, number: int, message: Message | codec.Unknown, *, up: bool) -> bytes | None:
        """The update that a message completes."""
        match message:
            case Update(kind=Kind.DOCUMENT, updates=(update,)):
                return update
            case FragmentHeader(count=count):
                self.world.hit("fragments")
                self._halves[number, message.batch_id, up] = [b""] * count
            case Fragment(index=index, data=data):
                parts = self._halves[number, message.batch_id, up]
                parts[index] = data
                if all(parts):
                    return b"".join(parts)
        return None

    # Confirmations

    def confirmed(self, wanted: Version) -> None:
        """A confirmation settled as confirmed, at this instant."""
        durable = self.world.disk.durable(self.world.disk.document)
        self.require(durable.includes(wanted), "confirmed is durable")
        room = self.world.daemon.room
        if room is not None:
            merged = room.notebook.replica.version()
            self.require(merged.includes(wanted), "confirmed is merged")

    # Executions

    def asks(self, execution_id: str, asked: Asked) -> None:
        """A client asks for an execution under this id."""
        self.asked.setdefault(execution_id, asked)
        self._turns.setdefault(execution_id, self._calls)
        self._calls += 1

    def asks_all(self, batch_id: str, cells: list[tuple[str, str]], client: str) -> None:
        """A client asks for every code cell, each with its text of now."""
        call = self._calls
        self.batches[batch_id] = [cell_id for cell_id, text in cells if text.strip()]
        for cell_id, text in cells:
            execution_id = derived_execution_id(batch_id, cell_id)
            self.asks(execution_id, Asked(client, cell_id, text, pinned=True))
            # Others may move its cells meanwhile, so within a batch any order is right.
            self._turns[execution_id] = call

    def kernel_given(self, execution_id: str, code: str) -> None:
        """The room hands an execution to the kernel."""
        asked = self.asked.get(execution_id)
        self.require(asked is not None, "the kernel runs what was asked for", execution_id)
        assert asked is not None
        self.require(execution_id not in self.given, "an id runs at most once", execution_id)
        self.given[execution_id] = code
        self._in_turn(execution_id, asked)
        sha256 = hashlib.sha256(code.encode()).hexdigest()
        if asked.pinned:
            self.require(
                code == asked.text,
                "the kernel gets the confirmed source",
                f"{code!r} for {asked.text!r}",
            )
        accepted = self.world.disk.accepted.get(execution_id)
        self.require(accepted is not None, "an execution is durable before it runs", execution_id)
        assert accepted is not None
        self.require(accepted.source_sha256 == sha256, "the hash is of the source that runs")
        self.require(
            execution_id not in self.world.disk.finished, "nothing runs after its end", execution_id
        )
        room = self.world.daemon.room
        assert room is not None
        record = room.runtime_reader.execution(execution_id, outputs=False)
        self.require(
            record is not None and record.source_sha256 == sha256,
            "the record has the hash of the source that runs",
        )

    def _in_turn(self, execution_id: str, asked: Asked) -> None:
        """One caller's executions begin in the order in which it asked, where nothing fails."""
        if asked.in_turn and self.world.options.is_healthy and execution_id not in self.repeated:
            turn = self._turns[execution_id]
            last = self._last_turn.get(asked.client, -1)
            self.require(turn >= last, "one caller's executions begin in order", execution_id)
            self._last_turn[asked.client] = turn

    def kernel_said(self, events: tuple[KernelEvent, ...]) -> None:
        """The living kernel's events, just before the room hears them."""
        for event in events:
            if isinstance(event, Stream | DisplayData | ExecuteResult | ErrorOutput):
                assert event.execution_id is not None
                self.said.setdefault(event.execution_id, []).append(event)

    # Answers

    def answer_given(self, reply: InputReply, asking: str | None) -> None:
        """The room hands an answer to the kernel, which asks this now, or (None) is dead."""
        question = question_of(reply.value)
        self.require(
            question not in self.answers, "the kernel gets one answer for each prompt", question
        )
        self.answers[question] = reply.value
        if asking is not None:
            self.require(question == asking, "an answer meets its own prompt", (question, asking))
        shown = Stream(reply.execution_id, "stdin", f"{question}{reply.value}\n")
        self.said.setdefault(reply.execution_id, []).append(shown)
        self.world.hit("answer given")

    def answer_settled(self, params: rpc.AnswerInput, outcome: Any) -> None:
        """A client is told what became of its answer."""
        was_given = self.answers.get(question_of(params.value)) == params.value
        if isinstance(outcome, rpc.InputAnswered):
            self.require(was_given, "an answer that is accepted was given", params.value)
        elif isinstance(outcome, InputNotAwaited):
            self.require(not was_given, "an answer that is refused was not given", params.value)

    def answered(self, result: Any) -> None:
        """The room answers a request; what it promises must be on the disk."""
        match result:
            case rpc.Accepted():
                self._must_be_accepted(result)
            case rpc.AcceptedAll(executions=executions):
                for each in executions:
                    self._must_be_accepted(each)
            case rpc.ExecutionOutcome(record=record):
                if record["status"] in TERMINAL:
                    finished = self.world.disk.finished
                    self.require(
                        record["execution_id"] in finished, "an outcome that is told is durable"
                    )

    def _must_be_accepted(self, accepted: rpc.Accepted) -> None:
        self.require(
            accepted.execution_id in self.world.disk.accepted,
            "an accepted execution is durable",
            accepted.execution_id,
        )

    def accepted_as(self, execution_id: str, accepted: rpc.Accepted) -> None:
        """A client is told that its execution was accepted."""
        asked = self.asked.get(execution_id)
        self.require(asked is not None, "only what was asked for is accepted", execution_id)
        assert asked is not None
        known = self.accepted.setdefault(execution_id, accepted.execution_id)
        self.require(known == accepted.execution_id, "a repeat gets the same answer", execution_id)
        if accepted.cell_id:
            self.require(accepted.cell_id == asked.cell_id, "the answer names the cell")
            if asked.pinned:
                self.require(
                    accepted.source_sha256 == asked.sha256, "the answer has the caller's source"
                )

    def accepted_all(self, accepted: rpc.AcceptedAll) -> None:
        """A client is told what of its run of everything was accepted."""
        for each in accepted.executions:
            self.accepted_as(each.execution_id, each)
        run = {each.cell_id for each in accepted.executions}
        for cell_id in self.batches[accepted.batch_id]:
            found = cell_id in run or cell_id in self.ever_deleted or cell_id.endswith("n")
            self.require(found, "a run of everything runs everything", cell_id)

    def finished_twice(self, execution_id: str) -> None:
        raise Violation("an execution ends once", execution_id)

    # Interrupts

    def interrupt_begins(self, room: Room) -> None:
        reader = room.runtime_reader
        # Not by the document's queue: that is written with the next commit.
        waiting = [each for each in reader.executions() if reader.status(each) == "queued"]
        self._waiting_before = dict.fromkeys(waiting)

    def interrupt_waits(self) -> None:
        """It will end what was asked for before it, as far as that has not begun by then."""
        self._swept |= dict.fromkeys(self.asked)
        self.world.hit("interrupt that waits for a look")

    def interrupt_served(self, room: Room) -> None:
        reader = room.runtime_reader
        for each in self._waiting_before:
            status = reader.status(each)
            self.require(status == "cancelled", "an interrupt ends what waited", (each, status))
            self.world.hit("interrupt of what waited")
        self._swept |= self._waiting_before

    def check_record(self, record: ExecutionRecord) -> None:
        """A terminal record, wherever it is seen."""
        identity = record.execution_id
        self.require(record.prompt is None, "nothing is asked after the end", identity)
        if record.reason is not None and "interrupted before it began" in record.reason:
            self.require(identity in self._swept, "an interrupt ends nothing admitted later")
        if record.status in {"ok", "error"} and record.requested_by != "file":
            self.require(identity in self.given, "what ended well has run", identity)
            if identity in self._gaps:
                self._check_after_gap(record)
                return
            expected = image(self.said.get(identity, ()))
            shown = self.shown(record)
            self.require(
                shown == expected,
                "outputs are complete and in order at the end",
                f"{shown} for {expected}",
            )

    def _check_after_gap(self, record: ExecutionRecord) -> None:
        """A terminal record of one that nobody heard for a while."""
        said, before = self.said.get(record.execution_id, []), self._gaps[record.execution_id]
        shown = self.shown(record)
        self.require(any(is_gap(output) for output in shown), "a gap is told", shown)
        expected = lines(image(said[before:]))
        ending = lines(shown)[len(lines(shown)) - len(expected) :]
        self.require(
            ending == expected, "outputs after a gap are complete and in order", (ending, expected)
        )
        self.require(
            is_part(lines(shown), lines(image(said))), "outputs are in order, and each once", shown
        )

    def check_prefix(self, record: ExecutionRecord) -> None:
        """A record's outputs as far as they are seen."""
        if record.requested_by == "file":
            return
        expected = image(self.said.get(record.execution_id, ()))
        shown = self.shown(record)
        if record.execution_id in self._gaps:
            holds = is_part(lines(shown), lines(expected))
            self.require(holds, "outputs are a part of what was said", (shown, expected))
            return
        self.require(
            is_prefix(shown, expected), "outputs are a prefix of what was said", (shown, expected)
        )

    def shown(self, record: ExecutionRecord) -> list[tuple[str, ...]]:
        """The outputs of a record, with blobs put in their places."""
        return [self._read_output(output) for output in record.outputs]

    def _read_output(self, output: dict[str, Any]) -> tuple[str, ...]:
        match output:
            case {"output_type": "stream", "name": name, "text": text}:
                return ("stream", name, text)
            case {"output_type": "error", "ename": name}:
                return ("error", name)
            case {"output_type": kind, "data": {"text/plain": str(text)}}:
                return (kind, text)
            case {"output_type": kind, "data": {"text/plain": {"blob": sha256}}}:
                blob = self.world.disk.blobs.get(sha256)
                self.require(blob is not None, "no reference without its blob", sha256)
                assert blob is not None
                self.world.hit("blob")
                return (kind, blob.decode())
        raise Violation("an output has a known form", str(output))

    # Rooms

    def room_gone(self) -> None:
        """The room is no more; half batches to it will never be whole."""
        self._waiting_before = {}

    def opened(self, room: Room, opening: Opening) -> None:
        """A room was opened: nothing may have changed but what the daemon itself notes."""
        if not opening.updates and opening.snapshot is None:
            return
        self.world.hit("room opened again")
        stored = NotebookDocument(Replica.load(3, opening.snapshot, opening.updates))
        self.require(
            stored.cells() == room.notebook.cells(),
            "opening a notebook again changes none of its cells",
            f"{room.notebook.cells()} after {stored.cells()}",
        )
        for accepted in opening.unfinished:
            if accepted.runs_as == accepted.execution_id:
                self._check_inherited(accepted.execution_id, room, opening)

    def _check_inherited(self, execution_id: str, room: Room, opening: Opening) -> None:
        """One that the daemon before this one accepted, and whose end the store does not have."""
        status = room.runtime_reader.status(execution_id)
        living = opening.kernel
        if living is not None and living.asked == execution_id:
            self._gaps[execution_id] = len(self.said.get(execution_id, ()))
            record = room.runtime_reader.execution(execution_id, outputs=False)
            holds = record is not None and record.reason != DAEMON_ENDED
            self.require(holds, "what a kernel runs goes on", status)
            self.world.hit("execution that outlived the daemon")
        elif status in {"queued", "running"}:
            holds = living is not None and execution_id not in self.given
            self.require(holds, "what waits again has reached no kernel", execution_id)
            self.world.hit("execution that waits again")
        else:
            # Where a kernel lives on, what waited may end with the batch of what is lost.
            ends = {"lost"} if living is None else {"lost", "cancelled"}
            self.require(status in ends, "what was not finished is lost", status)
            self.world.hit("execution lost with the daemon")

    def compare_runtime(self, name: str, reader: RuntimeReader, expected: RuntimeReader) -> None:
        """Two replicas of the runtime document say the same."""
        for what in ("kernel", "queue", "executions", "latest_by_cell"):
            mine, theirs = getattr(reader, what)(), getattr(expected, what)()
            self.require(mine == theirs, f"runtime documents converge: {what}", f"{name} {mine}")
        for execution_id in expected.executions():
            mine, theirs = reader.execution(execution_id), expected.execution(execution_id)
            self.require(mine == theirs, "runtime documents converge: record", f"{name} {mine}")
