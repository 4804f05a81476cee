"""What an earlier daemon left a room: executions that must end, and maybe a kernel that runs one.

Floor 3. Every accepted execution ends exactly once. The kernel that lives on was given one last:
that one goes on, with a visible mark where its outputs may be missing. Every other execution that
had no terminal status is lost and says so; none is ever given to a kernel a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from headway.core.document.runtime import TERMINAL, ExecutionRecord
from headway.core.room.effects import ExecutionFinished
from headway.core.room.queue import Execution

if TYPE_CHECKING:
    from headway.core.room.effects import ExecutionAccepted
    from headway.core.room.kernel import RoomKernel
    from headway.core.room.ledger import Ledger
    from headway.core.room.opening import LivingKernel, Opening
    from headway.core.room.queue import Queue
    from headway.core.room.recorder import Recorder
    from headway.moments import Moment

__all__ = ["DAEMON_ENDED", "Inheritance"]

DAEMON_ENDED = "the daemon ended before the execution did"


class Inheritance:
    """Settles it once, while a room opens."""

    def __init__(
        self, ledger: Ledger, recorder: Recorder, kernel: RoomKernel, queue: Queue
    ) -> None:
        """The room's parts that it concerns."""
        self._ledger = ledger
        self._recorder = recorder
        self._kernel = kernel
        self._queue = queue

    def settle(self, opening: Opening, now: Moment) -> None:
        """Take the kernel up and let what it runs go on; end everything else."""
        living = opening.kernel
        if living is not None:
            self._kernel.take_up(living.incarnation, living.name, living.info, now)
            self._recorder.took_up()
        for accepted in opening.unfinished:
            if accepted.runs_as != accepted.execution_id:
                continue
            if self._recorder.reader.status(accepted.execution_id) is None:
                self._admit_again(accepted, now)
            if living is not None and accepted.execution_id == living.asked:
                self._go_on(accepted, living, now)
            else:
                self._end_lost(accepted, now)
        self._recorder.queue(self._queue.ids(), now)

    def _admit_again(self, accepted: ExecutionAccepted, now: Moment) -> None:
        """The store has it and the runtime document does not: a record of what is known."""
        record = ExecutionRecord(
            execution_id=accepted.execution_id,
            cell_id=accepted.cell_id,
            source_sha256=accepted.source_sha256,
            heads="",
            requested_by="",
            status="queued",
            queued_s=now.wall_s,
        )
        self._recorder.admitted(record, now)

    def _go_on(self, accepted: ExecutionAccepted, living: LivingKernel, now: Moment) -> None:
        """It runs, or has just ended; either way the kernel's next words say which."""
        execution_id = accepted.execution_id
        record = self._recorder.reader.execution(execution_id, outputs=False)
        assert record is not None, "it was admitted, now or before"
        if record.status in TERMINAL:
            return
        self._queue.running = Execution(
            execution_id,
            accepted.cell_id,
            "",
            accepted.source_sha256,
            record.heads,
            batch_id=record.batch_id,
            durable=True,
        )
        if record.status == "queued":
            self._recorder.started(execution_id, now)
        self._recorder.gap(execution_id, living.away_since_s, now)
        self._kernel.busy(now)

    def _end_lost(self, accepted: ExecutionAccepted, now: Moment) -> None:
        ended = self._recorder.reader.execution(accepted.execution_id)
        if ended is None or ended.status not in TERMINAL:
            ended = self._recorder.finished(accepted.execution_id, "lost", DAEMON_ENDED, now)
        # One that had ended is unfinished only to a store whose copy of the result was damaged:
        # it gets another.
        content = msgspec.json.encode(ended)
        self._ledger.record(ExecutionFinished(accepted.notebook, accepted.execution_id, content))
