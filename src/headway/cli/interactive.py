"""One cell on a terminal: its outputs as they come, and the person answers what it asks.

Floor 6. What `headway cell run` does where a person sits; elsewhere a cell may not ask.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headway.cli.following import follow
from headway.cli.report import LineReport

if TYPE_CHECKING:
    from headway.cli.answering import Answering
    from headway.client.aio import AsyncNotebook
    from headway.client.executions import AsyncExecution
    from headway.client.models import Cell, ExecutionResult

__all__ = ["Ending", "run_interactively"]


class _Outputs(LineReport):
    """What the cell shows, and nothing around it."""

    def __init__(self) -> None:
        super().__init__(head=None, colours=sys.stdout.isatty())

    def started(self, number: int, cell: Cell) -> None:
        """Nothing of it is said: the person named the cell."""
        del number, cell
        self._open = True

    def finished(self, number: int, result: ExecutionResult) -> None:
        """Show what has no line end."""
        del number, result
        self._end_streams()

    def _write_indented(self, line: str) -> None:
        self._write(line)

    def _place(self, number: int) -> str:
        del number
        return "[cell]"


@dataclass(frozen=True, slots=True)
class Ending:
    """How the person left the cell."""

    result: ExecutionResult | None
    """How the cell ended; None when it goes on."""
    is_interrupted: bool
    """Whether the person asked for the end."""


def run_interactively(
    path: Path, author: str, cell: Cell, person: Answering, timeout_s: float | None
) -> Ending:
    """Run a cell of the notebook at `path`; gives how it ended.

    Ctrl-C interrupts the cell, a second one leaves it. Raises DeadlineExceeded when `timeout_s`
    passes first; the cell goes on.
    """
    from headway.client.aio import open_async

    async def run() -> Ending:
        async with open_async(path, name=author) as notebook:
            execution = await notebook.queue_cell(cell, allow_stdin=True)
            return await _follow(notebook, execution, person, timeout_s)

    return asyncio.run(run())


async def _follow(
    notebook: AsyncNotebook,
    execution: AsyncExecution,
    person: Answering,
    timeout_s: float | None,
) -> Ending:
    loop = asyncio.get_running_loop()
    following = loop.create_task(
        follow(
            notebook,
            _Outputs(),
            1,
            execution,
            lambda: None,
            person=person,
            timeout_s=timeout_s,
        )
    )
    stopping: asyncio.Task[bool] | None = None

    def stop() -> None:
        nonlocal stopping
        if stopping is None:
            stopping = loop.create_task(execution.cancel())
        else:
            following.cancel()

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        await asyncio.wait({following})
        result = None if following.cancelled() else following.result()
        return Ending(result, stopping is not None)
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        if stopping is not None:
            stopping.cancel()  # it was asked for; its answer is of no use any more
            await asyncio.gather(stopping, return_exceptions=True)
