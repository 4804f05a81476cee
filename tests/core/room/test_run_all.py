"""Running everything while others write."""

from __future__ import annotations

from headway.core.document.edits import AddCell
from headway.core.wire import rpc
from headway.errors import CellNotFound
from headway.ids import derived_execution_id, heads_to_text
from room_stage import DOCUMENT, Stage


def test_run_all_runs_what_its_caller_saw_and_not_what_another_added_since() -> None:
    stage = Stage()
    one, other = stage.peer(1), stage.peer(2)
    heads = one.add_cell("a", "1")
    other.edit(AddCell("b", source="2"))
    batch = stage.new_id()
    token = stage.ask(rpc.ExecuteAll(document=DOCUMENT, batch_id=batch, required_heads=heads))
    accepted = stage.answer(token)
    assert isinstance(accepted, rpc.AcceptedAll)
    assert [each.execution_id for each in accepted.executions] == [derived_execution_id(batch, "a")]


def test_a_cell_that_was_named_must_be_among_what_the_caller_saw() -> None:
    stage = Stage()
    one, other = stage.peer(1), stage.peer(2)
    one.add_cell("a", "1")
    seen = heads_to_text(one.replica.heads())
    other.edit(AddCell("b", source="2"))
    params = rpc.ExecuteAll(
        document=DOCUMENT, batch_id=stage.new_id(), cells=["a", "b"], required_heads=seen
    )
    assert isinstance(stage.answer(stage.ask(params)), CellNotFound)
