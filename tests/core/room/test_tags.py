"""Cells whose tags say that they may fail, or that they are left out of batches."""

from __future__ import annotations

from typing import Any

import pytest

from headway.core.document.edits import AddCell
from headway.core.document.tags import tags_of
from headway.core.kernel.events import ExecuteReply, Idle
from headway.core.room.effects import InterruptKernel, Refuse
from headway.core.wire import rpc
from headway.ids import heads_to_text
from room_stage import DOCUMENT, Stage


def stage_with(*cells: tuple[str, list[str]]) -> tuple[Stage, str]:
    """A stage with cells of these ids and tags, its kernel ready; and the heads."""
    stage = Stage()
    edits = [
        AddCell(name, source=f"# {name}", metadata={"tags": tags} if tags else {})
        for name, tags in cells
    ]
    heads = heads_to_text(stage.peer(1).edit(*edits))
    stage.ask(rpc.StartKernel(document=DOCUMENT))
    stage.kernel_ready()
    return stage, heads


def run_all(stage: Stage, heads: str, **named: Any) -> list[str]:
    """Run a batch; gives the execution ids that were accepted."""
    params = rpc.ExecuteAll(
        document=DOCUMENT, batch_id=stage.new_id(), required_heads=heads, **named
    )
    accepted = stage.answer(stage.ask(params))
    assert isinstance(accepted, rpc.AcceptedAll)
    return [each.execution_id for each in accepted.executions]


def codes(stage: Stage) -> list[str]:
    return [code for _, code in stage.ran()]


def test_an_error_that_a_tag_allows_does_not_stop_the_batch_and_another_one_does() -> None:
    stage, heads = stage_with(("a", ["x", "raises-exception"]), ("b", []), ("c", []))
    ids = run_all(stage, heads)
    stage.kernel_finishes("error")
    assert codes(stage) == ["# a", "# b"]
    stage.kernel_finishes("error")
    assert codes(stage) == ["# a", "# b"]
    assert [stage.runtime.status(each) for each in ids] == ["error", "error", "cancelled"]


def test_a_cell_whose_error_is_allowed_stops_the_batch_when_it_is_cancelled() -> None:
    stage, heads = stage_with(("a", []), ("b", ["raises-exception"]), ("c", []))
    ids = run_all(stage, heads)
    stage.ask(rpc.Cancel(document=DOCUMENT, execution_id=ids[1]))
    stage.kernel_finishes()
    assert [stage.runtime.status(each) for each in ids] == ["ok", "cancelled", "cancelled"]


def test_a_cell_that_is_cancelled_ends_what_waits_behind_it_and_nothing_before_it() -> None:
    stage, heads = stage_with(*((name, []) for name in "abcd"))
    ids = run_all(stage, heads)
    stage.ask(rpc.Cancel(document=DOCUMENT, execution_id=ids[2]))
    assert stage.of(InterruptKernel) == []
    stage.kernel_finishes()
    stage.kernel_finishes()
    assert codes(stage) == ["# a", "# b"]
    records = [stage.runtime.execution(each) for each in ids]
    assert [record and (record.status, record.reason) for record in records] == [
        ("ok", None),
        ("ok", None),
        ("cancelled", "it was cancelled before it began"),
        ("cancelled", "an earlier cell of the same run was cancelled"),
    ]


def test_a_cell_whose_error_is_allowed_stops_the_batch_when_the_kernel_does_not_say_error() -> None:
    stage, heads = stage_with(("a", ["raises-exception"]), ("b", []))
    ids = run_all(stage, heads)
    stage.kernel_says(ExecuteReply(ids[0], "aborted", None), Idle(ids[0]))
    assert [stage.runtime.status(each) for each in ids] == ["cancelled", "cancelled"]


@pytest.mark.parametrize("named", [{}, {"cells": ["a", "b", "c"]}])
def test_a_cell_tagged_to_be_skipped_is_left_out_of_a_batch(named: dict[str, Any]) -> None:
    stage, heads = stage_with(("a", []), ("b", ["skip-execution"]), ("c", []))
    assert len(run_all(stage, heads, **named)) == 2
    stage.kernel_finishes()
    stage.kernel_finishes()
    assert codes(stage) == ["# a", "# c"]
    assert stage.runtime.latest("b") is None


def test_a_cell_tagged_to_be_skipped_runs_when_it_alone_is_asked_for() -> None:
    stage, heads = stage_with(("a", ["skip-execution"]))
    identity = stage.new_id()
    stage.ask(
        rpc.Execute(document=DOCUMENT, cell_id="a", execution_id=identity, required_heads=heads)
    )
    assert stage.ran() == [(identity, "# a")]
    assert stage.of(Refuse) == []


def test_a_batch_of_nothing_but_skipped_cells_is_accepted_and_empty() -> None:
    stage, heads = stage_with(("a", ["skip-execution"]))
    assert run_all(stage, heads) == []


@pytest.mark.parametrize("tags", [None, "raises-exception", {"raises-exception": 1}, 7])
def test_what_has_not_the_form_of_tags_is_none(tags: Any) -> None:
    assert tags_of({"tags": tags}) == frozenset()
    assert tags_of({"tags": ["a", 1, None, {}]}) == {"a"}
