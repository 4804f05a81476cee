"""What an earlier daemon left a room: executions that must end, and maybe a kernel that runs one.

Floor 3. Every accepted execution ends exactly once, and none is given to a kernel twice. The
kernel that lives on was given one last: that one goes on, with a visible mark where its outputs
may be missing. Kernels are given executions in the order of their admission, so those admitted
after it have reached no kernel: they wait again, with the text that was accepted. Every other
execution that had no terminal status may have run; it is lost and says so. Without a living
kernel everything is: the variables that the rest counted on are gone.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from headway.core.document.runtime import TERMINAL, ExecutionRecord
from headway.core.room.effects import ExecutionFinished
from headway.core.room.queue import BATCH_FAILED, Execution
from headway.errors import HeadwayError
from headway.ids import heads_from_text

if TYPE_CHECKING:
    from headway.core.document.notebook import NotebookDocument
    from headway.core.room.effects import ExecutionAccepted
    from headway.core.room.kernel import RoomKernel
    from headway.core.room.ledger import Ledger
    from headway.core.room.opening import LivingKernel, Opening
    from headway.core.room.prompts import Prompts
    from headway.core.room.queue import Queue
    from headway.core.room.recorder import Recorder
    from headway.ids import ExecutionId
    from headway.moments import Moment

__all__ = ["DAEMON_ENDED", "SOURCE_GONE", "Inheritance"]

DAEMON_ENDED = "the daemon ended before the execution did"
SOURCE_GONE = "the daemon ended before it ran, and the text that was to run cannot be read any more"


class Inheritance:
    """Settles it once, while a room opens."""

    def __init__(
        self,
        ledger: Ledger,
        recorder: Recorder,
        kernel: RoomKernel,
        queue: Queue,
        notebook: NotebookDocument,
        prompts: Prompts,
    ) -> None:
        """The room's parts that it concerns."""
        self._ledger = ledger
        self._recorder = recorder
        self._kernel = kernel
        self._queue = queue
        self._notebook = notebook
        self._prompts = prompts
        self._stopped_batches: set[str] = set()

    def settle(self, opening: Opening, now: Moment) -> None:
        """Take the kernel up, let what it runs and what waited go on; end everything else."""
        living = opening.kernel
        if living is not None:
            self._kernel.take_up(living, now)
            self._recorder.took_up()
        waited = living is not None and _has_ended(living.asked, opening)
        for accepted in opening.unfinished:
            if accepted.runs_as != accepted.execution_id:
                continue
            status = self._recorder.reader.status(accepted.execution_id)
            if status is None:
                status = self._admit_again(accepted, now)
            if living is not None and accepted.execution_id == living.asked:
                self._go_on(accepted, living, now)
                waited = True
            elif waited and status == "queued":
                self._wait_again(accepted, now)
            else:
                self._end(accepted, "lost", DAEMON_ENDED, now)
        self._recorder.queue(self._queue.ids(), now)

    def _admit_again(self, accepted: ExecutionAccepted, now: Moment) -> str | None:
        """The store has it and the runtime document does not; its status, if all of it is known."""
        record = _admission_of(accepted)
        self._recorder.admitted(record or _bare_record(accepted, now), now)
        return None if record is None else record.status

    def _go_on(self, accepted: ExecutionAccepted, living: LivingKernel, now: Moment) -> None:
        """It runs, or has just ended; either way the kernel's next words say which."""
        execution_id = accepted.execution_id
        record = self._recorder.reader.execution(execution_id, outputs=False)
        assert record is not None, "it was admitted, now or before"
        if record.status in TERMINAL:
            self._end(accepted, record.status, DAEMON_ENDED, now)
            return
        self._queue.running = Execution(
            execution_id,
            accepted.cell_id,
            "",
            accepted.source_sha256,
            record.heads,
            batch_id=record.batch_id,
            stops_batch=record.stops_batch,
            may_raise=record.may_raise,
            allow_stdin=record.allow_stdin,
            durable=True,
        )
        self._prompts.take_up(execution_id, record.prompt)
        if record.status == "queued":
            self._recorder.started(execution_id, now)
        self._recorder.gap(execution_id, living.away_since_s, now)
        self._kernel.busy(now)

    def _wait_again(self, accepted: ExecutionAccepted, now: Moment) -> None:
        """No kernel has seen it: it runs in its turn, if what was accepted can still be read."""
        record = self._recorder.reader.execution(accepted.execution_id, outputs=False)
        assert record is not None, "it has a status"
        if record.batch_id in self._stopped_batches:
            self._end(accepted, "cancelled", BATCH_FAILED, now)
            return
        source = self._source(record)
        if source is None:
            if record.stops_batch and record.batch_id is not None:
                self._stopped_batches.add(record.batch_id)
            self._end(accepted, "lost", SOURCE_GONE, now)
            return
        self._queue.admit(
            Execution(
                accepted.execution_id,
                accepted.cell_id,
                source,
                accepted.source_sha256,
                record.heads,
                batch_id=record.batch_id,
                stops_batch=record.stops_batch,
                may_raise=record.may_raise,
                allow_stdin=record.allow_stdin,
                durable=True,
            )
        )

    def _source(self, record: ExecutionRecord) -> str | None:
        """The text that was accepted, by its hash; None if it cannot be read any more."""
        try:
            source = self._notebook.source(record.cell_id)
            if _sha256(source) != record.source_sha256:
                heads = heads_from_text(record.heads)
                source = self._notebook.source_at(record.cell_id, heads)
        except (HeadwayError, ValueError):
            return None
        return source if _sha256(source) == record.source_sha256 else None

    def _end(self, accepted: ExecutionAccepted, status: str, reason: str, now: Moment) -> None:
        ended = self._recorder.reader.execution(accepted.execution_id)
        if ended is None or ended.status not in TERMINAL:
            ended = self._recorder.finished(accepted.execution_id, status, reason, now)
        # One that had ended is unfinished only to a store whose copy of the result was damaged:
        # it gets another.
        content = msgspec.json.encode(ended)
        self._ledger.record(ExecutionFinished(accepted.notebook, accepted.execution_id, content))


def _admission_of(accepted: ExecutionAccepted) -> ExecutionRecord | None:
    """Its record as it was admitted; None in a store of an earlier version."""
    if not accepted.admission:
        return None
    return msgspec.json.decode(accepted.admission, type=ExecutionRecord)


def _bare_record(accepted: ExecutionAccepted, now: Moment) -> ExecutionRecord:
    return ExecutionRecord(
        execution_id=accepted.execution_id,
        cell_id=accepted.cell_id,
        source_sha256=accepted.source_sha256,
        queued_s=now.wall_s,
    )


def _has_ended(asked: ExecutionId | None, opening: Opening) -> bool:
    """Whether the execution that the kernel was given last is known, and its end too."""
    unfinished = {each.execution_id for each in opening.unfinished}
    return asked in opening.taken and asked not in unfinished


def _sha256(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()
