"""A room that is opened again: what its file lacks is written, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headway.core.document.edits import MAX_CELLS
from headway.core.room.effects import RuntimeReplaced, UpdateStored, WriteFile
from headway.core.room.opening import Opening
from headway.core.wire.rpc import Execute
from headway.errors import NotebookUnreadable
from room_stage import DOCUMENT, Stage

PATH = "/notebooks/a.ipynb"
FILE = json.dumps(
    {
        "cells": [
            {
                "cell_type": "code",
                "id": "one",
                "metadata": {},
                "source": ["x = 1"],
                "outputs": [],
                "execution_count": None,
            }
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
).encode()


def reopened(stage: Stage, *, file: bytes | None, base: bytes | None, seed: int = 1) -> Stage:
    """The room of a later daemon, from what the first one's store holds."""
    records = [record for persist in stage.persists for record in persist.records]
    runtime = [each for each in records if isinstance(each, RuntimeReplaced)][-1]
    stored = [each for each in records if isinstance(each, UpdateStored)]
    opening = Opening(
        document=DOCUMENT,
        path=PATH,
        updates=tuple(each.update for each in stored if each.document == DOCUMENT),
        runtime_snapshot=runtime.snapshot,
        runtime_updates=tuple(e.update for e in stored if e.document == runtime.runtime),
        base=base,
        file=file,
    )
    later = Stage(seed=seed, opening=opening)
    later.wait(10.0)
    return later


def first(file: bytes | None) -> Stage:
    return Stage(opening=Opening(document=DOCUMENT, path=PATH, file=file))


def test_an_edit_that_was_not_saved_before_the_daemon_ended_is_saved_by_the_next() -> None:
    stage = first(FILE)
    stage.peer().add_cell("two", "y = 2")
    later = reopened(stage, file=FILE, base=FILE)
    assert len(later.of(WriteFile)) == 1


def test_an_output_that_was_not_saved_before_the_daemon_ended_is_saved_by_the_next() -> None:
    stage = first(FILE)
    execute = Execute(document=DOCUMENT, cell_id="one", execution_id=stage.new_id())
    stage.ask(execute)
    stage.kernel_ready()
    stage.kernel_finishes()
    later = reopened(stage, file=FILE, base=FILE)
    assert len(later.of(WriteFile)) == 1


def test_a_notebook_that_never_had_its_file_gets_it() -> None:
    stage = first(None)
    stage.peer().add_cell("two", "y = 2")
    later = reopened(stage, file=None, base=None)
    assert len(later.of(WriteFile)) == 1


def test_a_notebook_without_cells_gets_no_file_for_being_opened() -> None:
    later = reopened(first(None), file=None, base=None)
    assert later.of(WriteFile) == []


def test_a_file_that_holds_everything_is_not_written_for_being_opened() -> None:
    later = reopened(first(FILE), file=FILE, base=FILE)
    assert later.of(WriteFile) == []


def test_what_no_file_can_hold_is_no_reason_to_write_one() -> None:
    file = json.loads(FILE)
    file["cells"][0]["attachments"] = {"x.png": {"image/png": "iVBORw=="}}
    file["metadata"]["language_info"] = "python"
    content = json.dumps(file).encode()
    later = reopened(first(content), file=content, base=content)
    assert later.of(WriteFile) == []


def test_a_file_that_somebody_deleted_is_not_written_for_being_opened() -> None:
    later = reopened(first(FILE), file=None, base=FILE)
    assert later.of(WriteFile) == []


def test_opening_again_shows_no_cell_twice() -> None:
    stage = first(FILE)
    later = reopened(stage, file=FILE, base=FILE)
    assert later.room.notebook.order() == stage.room.notebook.order()


def of_many(cells: int, **metadata: Any) -> bytes:
    made = [
        {"cell_type": "raw", "id": f"c{number}", "metadata": {}, "source": ""}
        for number in range(cells)
    ]
    content = {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content).encode()


def test_a_file_of_as_many_cells_as_a_notebook_holds_is_opened_with_its_metadata() -> None:
    stage = first(of_many(MAX_CELLS, title="T"))
    assert len(stage.room.notebook) == MAX_CELLS
    assert stage.room.notebook.metadata() == {"title": "T"}


def test_a_file_with_more_cells_than_a_notebook_holds_is_unreadable_and_says_what_to_do() -> None:
    with pytest.raises(NotebookUnreadable, match=r"It has 20,001 cells, .* Divide it"):
        first(of_many(MAX_CELLS + 1))


def test_more_edits_than_one_call_takes_are_taken_in_when_a_notebook_is_opened_again() -> None:
    tagged = json.loads(of_many(7_000))
    stage = first(of_many(7_000))
    for cell in tagged["cells"]:
        cell["metadata"] = {"a": 1, "b": 2, "c": 3}
    later = reopened(stage, file=json.dumps(tagged).encode(), base=of_many(7_000))
    assert all(cell.metadata == {"a": 1, "b": 2, "c": 3} for cell in later.room.notebook.cells())


def test_attachments_that_are_too_large_together_are_taken_in_one_by_one() -> None:
    attachments = {name: {"image/png": "A" * 5_000_000} for name in ("one.png", "two.png")}
    file = json.loads(of_many(1))
    file["cells"][0] |= {"cell_type": "markdown", "attachments": attachments}
    stage = first(json.dumps(file).encode())
    assert stage.room.notebook.cells()[0].attachments == attachments


@pytest.mark.parametrize(
    ("outputs", "count", "status"),
    [
        ([{"output_type": "stream", "name": "stdout", "text": "1"}], None, "ok"),
        ([], 7, "ok"),
        ([{"output_type": "error", "ename": "E", "evalue": "", "traceback": []}], 7, "error"),
        ([], None, None),
    ],
)
def test_what_a_file_shows_of_a_run_is_the_record_of_one(
    outputs: list[dict[str, Any]], count: int | None, status: str | None
) -> None:
    content = json.loads(FILE)
    content["cells"][0] |= {"outputs": outputs, "execution_count": count}
    stage = first(json.dumps(content).encode())
    latest = stage.runtime.latest("one")
    record = None if latest is None else stage.runtime.execution(latest)
    if record is None:
        assert status is None
    else:
        assert (record.status, record.execution_count) == (status, count)
        assert [each["output_type"] for each in record.outputs] == [
            each["output_type"] for each in outputs
        ]
