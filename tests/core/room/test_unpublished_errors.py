"""A kernel that answers with an error which it did not publish: the reason says what it was."""

from __future__ import annotations

import pytest

from headway.core.document.edits import AddCell
from headway.core.kernel.events import (
    MAX_REASON_CHARACTERS,
    ErrorOutput,
    ExecuteReply,
    Idle,
    KernelEvent,
)
from headway.core.wire import rpc
from headway.ids import heads_to_text
from room_stage import DOCUMENT, Stage

OURS = "0191d0a0-0000-7000-8000-000000000001"
OTHERS = "0191d0a0-0000-7000-8000-000000000002"


def how_it_ended(*events: KernelEvent) -> tuple[str | None, str | None]:
    """Status and reason of an execution of which the kernel says these."""
    stage = Stage()
    heads = heads_to_text(stage.peer(1).edit(AddCell("a", source="1")))
    stage.ask(rpc.Execute(document=DOCUMENT, cell_id="a", execution_id=OURS, required_heads=heads))
    stage.kernel_ready()
    stage.kernel_says(*events)
    record = stage.runtime.execution(OURS)
    assert record is not None
    return record.status, record.reason


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("NoReply", "its own\ncode failed", "NoReply: its own code failed"),
        ("", "127", "127"),
        ("Odd\ud800", "", "Odd?"),
        (None, None, "the kernel reported an error and did not say which"),
        ("E", "x" * 10_000, "E: " + "x" * (MAX_REASON_CHARACTERS - 3)),
    ],
)
def test_it_is_the_reason(name: str | None, value: str | None, reason: str) -> None:
    reply = ExecuteReply(OURS, "error", 1, name, value)
    assert how_it_ended(reply, Idle(OURS)) == ("error", reason)


@pytest.mark.parametrize("comes_first", [True, False])
def test_an_error_that_is_shown_needs_no_reason(comes_first: bool) -> None:
    reply = ExecuteReply(OURS, "error", 1, "E", "x")
    shown = ErrorOutput(OURS, "E", "x", ())
    order = (shown, reply) if comes_first else (reply, shown)
    assert how_it_ended(*order, Idle(OURS)) == ("error", None)


def test_the_error_of_another_execution_is_not_its_own() -> None:
    reply = ExecuteReply(OURS, "error", 1, "E", "x")
    shown = ErrorOutput(OTHERS, "E", "x", ())
    assert how_it_ended(shown, reply, Idle(OURS)) == ("error", "E: x")
