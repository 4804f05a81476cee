"""Who asks how an execution ended, and is told once that is durable.

Floor 3. What an execution is and when it ends is `executions`' business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from headway.core.document.runtime import TERMINAL, ExecutionRecord
from headway.core.room.taken import Taken, not_found
from headway.core.wire import rpc

if TYPE_CHECKING:
    from headway.core.room.inputs import Requested
    from headway.core.room.ledger import Ledger
    from headway.core.room.recorder import Recorder
    from headway.core.room.requests import Requests
    from headway.ids import DocumentId, ExecutionId
    from headway.moments import Moment

__all__ = ["Outcomes"]


class Outcomes:
    """The outcomes of one notebook's executions, and who waits for them."""

    def __init__(
        self,
        document: DocumentId,
        ledger: Ledger,
        requests: Requests,
        recorder: Recorder,
        taken: Taken,
    ) -> None:
        """`taken` has every execution id accepted, and the one that answers for it."""
        self._document = document
        self._ledger = ledger
        self._requests = requests
        self._recorder = recorder
        self._taken = taken
        self._waiters: dict[ExecutionId, list[int]] = {}

    def ask(self, request: Requested, params: rpc.GetExecution) -> None:
        """Answer with the record: now, or when it is terminal and durable.

        Raises ExecutionNotFound.
        """
        execution_id = self._taken.get(params.execution_id, params.execution_id)
        status = self._recorder.reader.status(execution_id)
        if status is None:
            raise not_found(params.execution_id)
        if params.wait and status not in TERMINAL:
            # Who asks again and again, each time for a while, is on the list once.
            waiting = filter(self._requests.is_open, self._waiters.get(execution_id, ()))
            self._waiters[execution_id] = [*waiting, request.token]
            return

        def answer(_: Moment) -> None:
            record = self._recorder.reader.execution(execution_id)
            if record is None:
                self._requests.refuse(request.token, not_found(execution_id))
            else:
                self._requests.answer(request.token, self._outcome(record))

        self._ledger.when_durable(answer)

    def ended(self, record: ExecutionRecord) -> None:
        """An execution is terminal: whoever waits is told once what was recorded is durable."""
        self._ledger.when_durable(lambda _: self._answer_waiters(record))

    def _answer_waiters(self, record: ExecutionRecord) -> None:
        for token in self._waiters.pop(record.execution_id, ()):
            self._requests.answer(token, self._outcome(record))

    def _outcome(self, record: ExecutionRecord) -> rpc.ExecutionOutcome:
        return rpc.ExecutionOutcome(
            execution_id=record.execution_id,
            document=self._document,
            record=msgspec.to_builtins(record),
        )
