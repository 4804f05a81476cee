"""The synchronous client's executions: the twin of `executions`.

Floor 5. See `sync`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from headway.client.background import Background
from headway.client.executions import AsyncExecution
from headway.client.models import ANSWER_TIMEOUT_S, Event, ExecutionResult, InputRequested
from headway.core.document.prompts import Prompt
from headway.core.wire import rpc
from headway.ids import CellId, ExecutionId

__all__ = ["Execution", "iterate"]


class Execution:
    """One execution of one cell. It goes on whether or not anybody waits for it."""

    def __init__(self, loop: Background, twin: AsyncExecution) -> None:
        """Not for callers: executions come from `queue_cell` and `get_execution`."""
        self._loop = loop
        self._twin = twin

    @property
    def id(self) -> ExecutionId:
        """The execution's id."""
        return self._twin.id

    @property
    def cell_id(self) -> CellId:
        """The id of its cell."""
        return self._twin.cell_id

    @property
    def status(self) -> str:
        """queued, running, ok, error, cancelled or lost; `unknown` until that is here."""
        return self._twin.status

    @property
    def outputs(self) -> tuple[dict[str, Any], ...]:
        """The outputs so far; large values as references."""
        return self._twin.outputs

    @property
    def prompt(self) -> Prompt | None:
        """What it asks and waits for; None when it asks nothing. Everybody sees it."""
        return self._twin.prompt

    def answer(
        self, value: str, *, prompt: Prompt | None = None, timeout: float = ANSWER_TIMEOUT_S
    ) -> None:
        """Answer `prompt`, or what it asks now. Of several answers the first counts.

        `value` is one line without its end. Raises InputNotAwaited when somebody else was first,
        or nothing is asked.
        """
        self._loop.call(self._twin.answer(value, prompt=prompt, timeout=timeout))

    def wait(self, timeout: float | None = None) -> str:
        """Wait until it is terminal; gives the status, or raises DeadlineExceeded."""
        return self._loop.call(self._twin.wait(timeout))

    def result(self, timeout: float | None = None) -> ExecutionResult:
        """Wait until it is terminal; gives how it ended, or raises DeadlineExceeded."""
        return self._loop.call(self._twin.result(timeout))

    def cancel(self, timeout: float = rpc.REQUEST_TIMEOUT_S) -> bool:
        """End it: queued, it never runs; running, it is interrupted. False: it had ended."""
        return self._loop.call(self._twin.cancel(timeout))

    def events(self, timeout: float | None = None, *, resolve: bool = True) -> Generator[Event]:
        """What happens, from the start on: Started, outputs and prompts as they come, Finished.

        Outputs are as nbformat writes them, with their large values. Without `resolve` nothing
        is fetched until the result: they are as the document has them, where large values are
        references that `fetch_output` resolves.
        """
        return iterate(self._loop, self._twin.events(timeout, resolve=resolve))


def iterate(loop: Background, events: Any) -> Generator[Event]:
    """An asynchronous generator's values; left early, it is closed on its own loop."""
    end = object()

    async def following() -> Any:
        return await anext(events, end)

    try:
        while (event := loop.call(following())) is not end:
            yield _blocking(loop, event)
    finally:
        loop.call(events.aclose())


def _blocking(loop: Background, event: Any) -> Any:
    """The event, with an answer that waits instead of one to be awaited."""
    if not isinstance(event, InputRequested):
        return event
    reply = event.reply
    return replace(event, reply=lambda value, timeout_s: loop.call(reply(value, timeout_s)))
