"""How an execution is told: streams in pieces, and pieces that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from headway.cli.following import follow
from headway.cli.report import LineReport
from headway.client.aio import AsyncNotebook
from headway.client.executions import AsyncExecution
from headway.client.models import (
    Cell,
    DisplayUpdated,
    ExecutionResult,
    Finished,
    Output,
    OutputsCleared,
    Started,
)
from headway.errors import RequestFailed

Event = Started | Output | DisplayUpdated | OutputsCleared | Finished

RESULT = ExecutionResult("e1", "c1", "ok", (), "", None, 1, "00", "", 100.0, 101.0)
BLOBS = {"one": "a\nb\n", "two": "c\n"}


class OneNotebook:
    """What `follow` asks of a notebook."""

    def cell(self, cell_id: str) -> Cell:
        return Cell(cell_id, "code", "print()")

    async def fetch_blob(self, sha256: str) -> bytes:
        if sha256 not in BLOBS:
            raise RequestFailed("It is not there.")
        return BLOBS[sha256].encode()


class OneExecution:
    """What `follow` asks of an execution."""

    cell_id = "c1"
    status = "running"

    def __init__(self, *events: Event) -> None:
        self._events = events

    async def events(self, _timeout_s: float | None, *, resolve: bool) -> AsyncIterator[Event]:
        assert not resolve, "blobs are fetched when they are shown, not for each event"
        for event in (Started("e1", "c1", 1), *self._events, Finished(RESULT)):
            yield event


def told(*events: Event) -> list[str]:
    """The lines between the first and the last."""
    lines: list[str] = []
    notebook = cast("AsyncNotebook", OneNotebook())
    execution = cast("AsyncExecution", OneExecution(*events))
    report = LineReport(write=lines.append)
    asyncio.run(follow(notebook, report, 1, execution, lambda: None))
    return lines[1:-1]


def stream(text: str, *sealed: str, name: str = "stdout") -> dict[str, Any]:
    parts = [{"blob": blob, "size": 4} for blob in sealed]
    return {"output_type": "stream", "name": name, "text": text, "sealed": parts}


def test_text_that_is_sealed_is_told_once() -> None:
    assert told(
        Output(0, stream("a\nb")),
        DisplayUpdated(0, stream("c\nd", "one")),
        Output(0, stream("e\n")),
        DisplayUpdated(0, stream("f\n", "one", "two")),
    ) == ["    a", "    b", "    c", "    de", "    f"]


def test_another_stream_in_the_place_of_one_is_told_whole() -> None:
    assert told(
        Output(0, stream("c\n", "one")),
        DisplayUpdated(0, stream("a\n", name="stderr")),
        DisplayUpdated(0, stream("a\n", "two", name="stderr")),
    ) == ["    a", "    b", "    c", "    a", "    c", "    a"]


def test_a_cleared_stream_is_told_anew() -> None:
    assert told(Output(0, stream("a\n")), OutputsCleared(), Output(0, stream("a\n"))) == [
        "    a",
        "    a",
    ]


def test_a_piece_that_cannot_be_had_is_told() -> None:
    assert told(Output(0, stream("z\n", "gone"))) == [
        "",
        "    [A part of this text, 4 bytes, cannot be had: It is not there.]",
        "    z",
    ]


def test_a_stream_in_place_of_another_output_is_told_from_its_start() -> None:
    value = {"output_type": "display_data", "data": {"text/plain": "shown"}, "metadata": {}}
    assert told(
        Output(0, stream("c\n", "one")),
        DisplayUpdated(0, value),
        DisplayUpdated(0, stream("d\n", "one")),
    ) == ["    a", "    b", "    c", "    shown", "    a", "    b", "    d"]
