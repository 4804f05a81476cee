"""An execution seen from the client: its state so far, its end, and its events as they come.

Floor 5. The runtime document is the one source: a replica that shows a terminal status has all
outputs. Only for an execution that is not in it (an old one, or one the document has not caught
up with) is the daemon asked by id.
"""

# ruff: noqa: ASYNC109 - `timeout` is the face: one deadline for the whole of a call

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, TypeVar

import msgspec

from headway.client.arguments import checked_limit, checked_line
from headway.client.blobs import resolve_outputs
from headway.client.models import (
    ANSWER_TIMEOUT_S,
    Event,
    ExecutionResult,
    Finished,
    InputClosed,
    InputRequested,
    Started,
    result_of,
)
from headway.client.output_events import OutputEvents
from headway.client.pump import Pump
from headway.core.document.prompts import Prompt
from headway.core.document.runtime import TERMINAL, ExecutionRecord
from headway.core.wire.rpc import AnswerInput, Cancel, ExecutionOutcome, GetExecution
from headway.edges.paths import Paths
from headway.errors import (
    BadRequest,
    ConnectionLost,
    DeadlineExceeded,
    InputNotAwaited,
)
from headway.ids import CellId, DocumentId, ExecutionId

__all__ = [
    "ASK_AFTER_S",
    "AsyncExecution",
    "deadline_of",
    "record_of",
    "time_left",
]

ASK_AFTER_S = 2.0
"""An execution that the runtime document does not show for so long is asked for by id."""

_ASK_TIMEOUT_S = 30.0

T = TypeVar("T")


class AsyncExecution:
    """One execution of one cell. It goes on whether or not anybody waits for it."""

    def __init__(
        self,
        pump: Pump,
        home: Paths | None,
        document: DocumentId,
        told: ExecutionRecord,
    ) -> None:
        """Not for callers: executions come from `queue_cell` and `get_execution`.

        `told` is what the daemon answered; the runtime document shows it a moment later, or never.
        """
        self.id: ExecutionId = told.execution_id
        self.cell_id: CellId = told.cell_id
        self._pump = pump
        self._home = home
        self._document = document
        self._told = told

    @property
    def status(self) -> str:
        """queued, running, ok, error, cancelled or lost, as far as that is here."""
        shown = self._shown_status()
        return self._told.status if shown is None or self._is_told_more(shown) else shown

    @property
    def outputs(self) -> tuple[dict[str, Any], ...]:
        """The outputs so far; large values as references."""
        return tuple(self._known().outputs)

    @property
    def prompt(self) -> Prompt | None:
        """What it asks and waits for; None when it asks nothing. Everybody sees it."""
        return self._known().prompt

    async def answer(
        self, value: str, *, prompt: Prompt | None = None, timeout: float = ANSWER_TIMEOUT_S
    ) -> None:
        """Answer `prompt`, or what it asks now. Of several answers the first counts.

        `value` is one line without its end. Raises InputNotAwaited when somebody else was first,
        or nothing is asked.
        """
        checked_line(value)
        meant = self.prompt if prompt is None else prompt
        if meant is None:
            raise InputNotAwaited(
                f"The execution {self.id} asks nothing now, so there is nothing to answer.",
                execution_id=self.id,
                prompt_id=None,
                answered=False,
            )
        if not isinstance(meant, Prompt):
            raise BadRequest(
                f"`prompt` is the Prompt that is answered, not {type(meant).__name__}.",
                field="prompt",
            )
        params = AnswerInput(
            document=self._document, execution_id=self.id, prompt_id=meant.id, value=value
        )
        await self._pump.request(params, timeout)

    async def wait(self, timeout: float | None = None) -> str:
        """Wait until it is terminal; gives the status, or raises DeadlineExceeded."""
        return (await self._terminal_record(timeout)).status

    async def result(self, timeout: float | None = None) -> ExecutionResult:
        """Wait until it is terminal; gives how it ended, or raises DeadlineExceeded."""
        return await self._resolved(await self._terminal_record(timeout))

    async def cancel(self, timeout: float = _ASK_TIMEOUT_S) -> bool:
        """End it: queued, it never runs; running, it is interrupted. False: it had ended."""
        params = Cancel(document=self._document, execution_id=self.id)
        cancelled: bool = (await self._pump.request(params, timeout)).cancelled
        return cancelled

    async def events(
        self, timeout: float | None = None, *, resolve: bool = True
    ) -> AsyncGenerator[Event]:
        """What happens, from the start on: Started, outputs and prompts as they come, Finished.

        Outputs are as nbformat writes them, with their large values. Without `resolve` nothing
        is fetched until the result: they are as the document has them, where large values are
        references that `fetch_output` resolves.
        """
        deadline_s = deadline_of(timeout)
        started = False
        outputs = OutputEvents(self._home, resolve=resolve)
        asked: Prompt | None = None
        while True:
            record = self._known()
            terminal = record.status in TERMINAL
            news = False
            if not started and (terminal or record.status == "running"):
                started = news = True
                yield Started(self.id, record.cell_id, record.execution_count)
            prompt = record.prompt
            if asked is not None and prompt != asked:
                news = True
                yield InputClosed(self.id, asked)
            async with contextlib.aclosing(outputs.since(tuple(record.outputs))) as found:
                while (event := await self._in_time(anext(found, None), deadline_s)) is not None:
                    news = True
                    yield event
            if prompt is not None and prompt != asked:
                news = True
                yield self._requested(prompt)
            asked = prompt
            if terminal:
                yield Finished(await self._in_time(self._resolved(record), deadline_s))
                return
            # While the caller had an event, a change may have come and gone: look again first.
            if not news:
                await self._in_time(self._change(wait=False), deadline_s)

    def _requested(self, prompt: Prompt) -> InputRequested:
        async def reply(value: str, timeout_s: float) -> None:
            await self.answer(value, prompt=prompt, timeout=timeout_s)

        return InputRequested(self.id, self.cell_id, prompt, reply)

    async def _in_time(self, work: Awaitable[T], deadline_s: float | None) -> T:
        try:
            async with asyncio.timeout_at(deadline_s):
                return await work
        except TimeoutError as error:
            raise self._late() from error

    async def _terminal_record(self, timeout_s: float | None) -> ExecutionRecord:
        return await self._in_time(self._terminal(), deadline_of(timeout_s))

    async def _terminal(self) -> ExecutionRecord:
        while True:
            if self.status in TERMINAL:
                return self._known()
            await self._change(wait=True)

    async def _change(self, *, wait: bool) -> None:
        """Wait for news. With `wait` the daemon, if asked, answers when it has ended."""
        self._check_open()
        if self._is_live and self._shown_status() is not None:
            await self._pump.changed.next()
        elif not self._is_live or not await self._appears():
            # Asking also makes the session want its connection back.
            await self._ask(wait=wait)

    async def _resolved(self, record: ExecutionRecord) -> ExecutionResult:
        return result_of(record, await resolve_outputs(self._home, record.outputs))

    async def _appears(self) -> bool:
        """Whether the runtime document shows it within a short time."""

        def shows() -> bool:
            return self._shown_status() is not None or self._pump.session.is_closed

        try:
            async with asyncio.timeout(ASK_AFTER_S):
                await self._pump.changed.until(shows)
        except TimeoutError:
            return False
        return True

    @property
    def _is_live(self) -> bool:
        return self._pump.session.status == "live"

    async def _ask(self, *, wait: bool) -> None:
        params = GetExecution(document=self._document, execution_id=self.id, wait=wait)
        with contextlib.suppress(DeadlineExceeded):
            outcome: ExecutionOutcome = await self._pump.request(params, _ASK_TIMEOUT_S)
            self._told = record_of(outcome)

    def _known(self) -> ExecutionRecord:
        """What the runtime document shows, or the daemon's answer where that says more."""
        runtime = self._pump.session.runtime
        shown = runtime.execution(self.id) if runtime is not None else None
        return self._told if shown is None or self._is_told_more(shown.status) else shown

    def _shown_status(self) -> str | None:
        runtime = self._pump.session.runtime
        return runtime.status(self.id) if runtime is not None else None

    def _is_told_more(self, shown: str) -> bool:
        return self._told.status in TERMINAL and shown not in TERMINAL

    def _check_open(self) -> None:
        session = self._pump.session
        if session.is_closed:
            raise session.error or ConnectionLost(
                "The notebook was closed here; the execution goes on and can be asked for by id.",
                execution_id=self.id,
            )

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"The execution {self.id} did not end in time; it goes on, and its result can be "
            "asked for by id.",
            execution_id=self.id,
            cell_id=self.cell_id,
            status=self.status,
        )


def record_of(outcome: ExecutionOutcome) -> ExecutionRecord:
    """The record in the daemon's answer."""
    return msgspec.convert(outcome.record, ExecutionRecord)


def time_left(deadline_s: float | None) -> float | None:
    """Seconds until a deadline of the running loop's clock; None without one."""
    if deadline_s is None:
        return None
    return max(0.0, deadline_s - asyncio.get_running_loop().time())


def deadline_of(timeout_s: float | None) -> float | None:
    """When a time-out that begins now has passed, on the running loop's clock. BadRequest."""
    limit_s = checked_limit(timeout_s)
    return None if limit_s is None else asyncio.get_running_loop().time() + limit_s
