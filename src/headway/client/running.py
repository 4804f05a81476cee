"""Running cells: every way to have them run, and what comes back, in the asynchronous client.

Floor 5. A part of `aio.AsyncNotebook`. The request carries the heads of this replica, so what runs
is what was here when it was asked for.
"""

# ruff: noqa: ASYNC109 - `timeout` is the face: one deadline for the whole of a call

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Literal

from headway.client.arguments import checked_limit
from headway.client.executions import AsyncExecution, deadline_of, record_of, time_left
from headway.client.kernels import KernelCalls
from headway.client.local import CellLike, id_of
from headway.client.models import Event, ExecutionResult
from headway.client.pump import Pump
from headway.client.questions import AsyncQuestions
from headway.core.document.runtime import ExecutionRecord
from headway.core.wire import rpc
from headway.edges.paths import Paths
from headway.errors import BadRequest
from headway.ids import CellId, ExecutionId, execution_id, heads_to_text

__all__ = ["RunningNotebook", "Source"]

Source = Literal["confirmed", "latest"]
"""Which source runs: the one that is here, or the newest that the daemon has."""


class RunningNotebook(AsyncQuestions, KernelCalls):
    """A notebook whose cells the daemon runs."""

    def __init__(self, pump: Pump, author: str, home: Paths | None) -> None:
        """A part of `AsyncNotebook`."""
        super().__init__(pump, author)
        self._home = home

    async def execute_cell(
        self,
        cell: CellLike,
        *,
        timeout: float | None = None,
        source: Source = "confirmed",
        install: bool = False,
        allow_stdin: bool = False,
    ) -> ExecutionResult:
        """Run a cell as it is here now, and wait for its end; never races with edits.

        With `allow_stdin` the cell may ask for input, and waits until somebody answers; without
        it asking is an error in the cell at once. So it is with every method that runs cells.
        An error in the cell is a result. Raises DeadlineExceeded when `timeout` passes first
        (`data["execution_id"]`; the execution goes on), and the daemon's typed refusals. `install`
        is that of `start_kernel`.
        """
        deadline_s = deadline_of(timeout)
        execution = await self.queue_cell(
            cell,
            timeout=_or_default(timeout),
            source=source,
            install=install,
            allow_stdin=allow_stdin,
        )
        return await execution.result(time_left(deadline_s))

    async def queue_cell(
        self,
        cell: CellLike,
        *,
        timeout: float = rpc.REQUEST_TIMEOUT_S,
        source: Source = "confirmed",
        install: bool = False,
        allow_stdin: bool = False,
    ) -> AsyncExecution:
        """Have a cell run as it is here now, and do not wait for its end."""
        params = rpc.Execute(
            document=self.id,
            required_heads=self._ticket(),
            cell_id=id_of(cell),
            execution_id=execution_id(time.time(), os.urandom),
            source=source,
            install=self._consent(install=install),
            allow_stdin=allow_stdin,
        )
        accepted: rpc.Accepted = await self._pump.request(params, timeout)
        return self._accepted(accepted)

    async def stream_execute(
        self,
        cell: CellLike,
        *,
        timeout: float | None = None,
        source: Source = "confirmed",
        allow_stdin: bool = False,
        resolve: bool = True,
    ) -> AsyncGenerator[Event]:
        """Run a cell and give what happens as it happens; the last event is Finished.

        `resolve` as in `Execution.events`.
        """
        deadline_s = deadline_of(timeout)
        execution = await self.queue_cell(
            cell, timeout=_or_default(timeout), source=source, allow_stdin=allow_stdin
        )
        events = execution.events(time_left(deadline_s), resolve=resolve)
        async with contextlib.aclosing(events):
            async for event in events:
                yield event

    async def run(
        self, code: str, *, timeout: float | None = None, allow_stdin: bool = False
    ) -> ExecutionResult:
        """Add a code cell with `code` at the end, and execute it."""
        checked_limit(timeout)
        cell = self.add_cell(code)
        return await self.execute_cell(cell, timeout=timeout, allow_stdin=allow_stdin)

    async def run_all(
        self,
        *,
        cells: Sequence[CellLike] | None = None,
        allow_errors: bool = False,
        restart: bool = False,
        install: bool = False,
        allow_stdin: bool = False,
        timeout: float | None = None,
    ) -> list[ExecutionResult]:
        """Run every code cell, or `cells` in their order; gives all results, as `queue_all`."""
        deadline_s = deadline_of(timeout)
        executions = await self.queue_all(
            cells=cells,
            allow_errors=allow_errors,
            restart=restart,
            install=install,
            allow_stdin=allow_stdin,
            timeout=_or_default(timeout),
        )
        return [await execution.result(time_left(deadline_s)) for execution in executions]

    async def run_above(
        self,
        cell: CellLike,
        *,
        allow_errors: bool = False,
        allow_stdin: bool = False,
        timeout: float | None = None,
    ) -> list[ExecutionResult]:
        """Run the code cells above `cell`, without it; gives their results, as `run_all`."""
        above, _ = self._runnable_around(cell)
        return await self.run_all(
            cells=above, allow_errors=allow_errors, allow_stdin=allow_stdin, timeout=timeout
        )

    async def run_below(
        self,
        cell: CellLike,
        *,
        allow_errors: bool = False,
        allow_stdin: bool = False,
        timeout: float | None = None,
    ) -> list[ExecutionResult]:
        """Run `cell` and the code cells below it; gives their results, as `run_all`."""
        _, below = self._runnable_around(cell)
        return await self.run_all(
            cells=below, allow_errors=allow_errors, allow_stdin=allow_stdin, timeout=timeout
        )

    async def queue_all(
        self,
        *,
        cells: Sequence[CellLike] | None = None,
        allow_errors: bool = False,
        restart: bool = False,
        install: bool = False,
        allow_stdin: bool = False,
        timeout: float = rpc.REQUEST_TIMEOUT_S,
    ) -> list[AsyncExecution]:
        """Have every code cell, or `cells` in their order, run; do not wait for their ends.

        All are admitted or none; cells tagged `skip-execution` are left out. Unless
        `allow_errors`, those after one that fails (and is not tagged `raises-exception`) are
        cancelled. With `restart` they run on a fresh kernel, in the same admission. `install` is
        that of `start_kernel`.
        """
        params = rpc.ExecuteAll(
            document=self.id,
            required_heads=self._ticket(),
            batch_id=execution_id(time.time(), os.urandom),
            cells=None if cells is None else _ids_of(cells),
            allow_errors=allow_errors,
            restart=restart,
            install=self._consent(install=install),
            allow_stdin=allow_stdin,
        )
        admitted: rpc.AcceptedAll = await self._pump.request(params, timeout)
        return [self._accepted(each) for each in admitted.executions]

    async def get_execution(
        self, execution_id: ExecutionId, *, timeout: float = rpc.REQUEST_TIMEOUT_S
    ) -> AsyncExecution:
        """An execution by its id, also one that another client asked for; ExecutionNotFound."""
        params = rpc.GetExecution(document=self.id, execution_id=execution_id)
        outcome: rpc.ExecutionOutcome = await self._pump.request(params, timeout)
        return self._execution(record_of(outcome))

    # Inside

    def _accepted(self, answer: rpc.Accepted) -> AsyncExecution:
        return self._execution(
            ExecutionRecord(execution_id=answer.execution_id, cell_id=answer.cell_id)
        )

    def _execution(self, told: ExecutionRecord) -> AsyncExecution:
        return AsyncExecution(self._pump, self._home, self.id, told)

    def _ticket(self) -> str:
        return heads_to_text(self.heads)


def _ids_of(cells: Sequence[CellLike]) -> list[CellId]:
    """The ids of several cells. Raises BadRequest for one: a string has parts, which name none."""
    if isinstance(cells, str) or not isinstance(cells, Iterable):
        raise BadRequest(
            f"`cells` is a list of cells, not {type(cells).__name__}; for one: `cells=[cell]`.",
            field="cells",
        )
    return [id_of(cell) for cell in cells]


def _or_default(timeout_s: float | None) -> float:
    limit_s = checked_limit(timeout_s)
    return rpc.REQUEST_TIMEOUT_S if limit_s is None else limit_s
