"""One execution, told to a report from its start to its end.

Floor 6. Streams come as events in pieces, sealed and open; a report gets the text as it is now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, assert_never

from headway.cli.report import Report
from headway.cli.stream_text import StreamText
from headway.client.models import (
    Cell,
    DisplayUpdated,
    ExecutionResult,
    Finished,
    InputClosed,
    InputRequested,
    Output,
    OutputsCleared,
    Started,
)
from headway.errors import HeadwayError

if TYPE_CHECKING:
    from headway.cli.answering import Answering
    from headway.client.aio import AsyncNotebook
    from headway.client.executions import AsyncExecution

__all__ = ["follow"]


async def follow(
    notebook: AsyncNotebook,
    report: Report,
    number: int,
    execution: AsyncExecution,
    begun: Callable[[], None],
    *,
    person: Answering | None = None,
    timeout_s: float | None = None,
) -> ExecutionResult:
    """Tell `report` what happens in an execution; gives how it ended.

    Args:
        notebook: Whose cell it is.
        report: Is told.
        number: What the cell is called, from 1.
        execution: May wait, run or have ended.
        begun: Called when the kernel runs it; never for one that was cancelled before.
        person: Who answers what it asks, if anybody does here.
        timeout_s: How long to wait for its end; DeadlineExceeded is raised when it passes.
    """
    try:
        return await _follow(notebook, report, number, execution, begun, person, timeout_s)
    finally:
        if person is not None:
            await person.end()


async def _follow(
    notebook: AsyncNotebook,
    report: Report,
    number: int,
    execution: AsyncExecution,
    begun: Callable[[], None],
    person: Answering | None,
    timeout_s: float | None,
) -> ExecutionResult:
    told = _Told(notebook, report)
    async for event in execution.events(timeout_s, resolve=False):
        match event:
            case Started():
                if execution.status != "cancelled":
                    report.started(number, _cell(notebook, execution))
                    begun()
            case Output(index=index, output=output):
                await told.output(index, output, is_addition=True)
            case DisplayUpdated(index=index, output=output):
                await told.output(index, output, is_addition=False)
            case OutputsCleared():
                told.cleared()
            case InputRequested():
                report.asked(number, event)
                if person is not None:
                    await person.begin(event)
            case InputClosed():
                if person is not None:
                    await person.end()
                report.closed(number, event)
            case Finished(result=result):
                report.finished(number, result)
                return result
            case _:
                assert_never(event)
    raise AssertionError("the last event is Finished")


class _Told:
    """The outputs of one execution as far as they were told."""

    def __init__(self, notebook: AsyncNotebook, report: Report) -> None:
        self._notebook = notebook
        self._report = report
        self._streams: dict[int, StreamText] = {}
        self._sealed: dict[int, list[dict[str, Any]]] = {}
        """What each stream had in blobs."""

    def cleared(self) -> None:
        """There are no outputs any more."""
        self._streams.clear()
        self._sealed.clear()
        self._report.cleared()

    async def output(self, index: int, output: dict[str, Any], *, is_addition: bool) -> None:
        """An output is new, has more text, or is another one now."""
        if output.get("output_type") != "stream":
            if index in self._streams:
                self._streams[index].begin_again("")
                del self._sealed[index]
            self._report.output(index, output)
            return
        stream = self._streams.setdefault(index, StreamText())
        text = output.get("text") or ""
        if is_addition and index in self._sealed:
            stream.grow(text)
        else:
            sealed, known = output.get("sealed") or [], self._sealed.get(index, [])
            if stream.name != output.get("name") or sealed[: len(known)] != known:
                stream.begin_again(str(output.get("name")))
                known = []
            self._sealed[index] = sealed
            pieces = [await self._piece(part) for part in sealed[len(known) :]]
            stream.become(pieces, text)
        if stream.has_changed:
            self._report.text(index, stream)

    async def _piece(self, part: dict[str, Any]) -> str:
        try:
            return (await self._notebook.fetch_blob(part["blob"])).decode("utf-8", "replace")
        except HeadwayError as error:
            return f"\n[A part of this text, {part['size']} bytes, cannot be had: {error}]\n"


def _cell(notebook: AsyncNotebook, execution: AsyncExecution) -> Cell:
    try:
        return notebook.cell(execution.cell_id)
    except HeadwayError:
        return Cell(execution.cell_id, "code", "(deleted)")
