"""Parts of a notebook that run as one batch: above, below, selected, by tag."""

from __future__ import annotations

import os
import shutil
import time

import pytest

import headway
from headway.ids import derived_execution_id, execution_id
from headway_daemon import HeadwayDaemon

RUN_S = 30.0


def test_run_above_below_and_selected_run_these_cells_in_order(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        cells = [notebook.add_cell(f"'{letter}'") for letter in "abcde"]
        notebook.add_cell("# words", cell_type="markdown", after=cells[0])
        notebook.add_cell("   ", after=cells[0])

        def texts(results: list[headway.ExecutionResult]) -> str:
            return "".join(result.text.strip("'") for result in results)

        assert texts(notebook.run_above(cells[2], timeout=RUN_S)) == "ab"
        assert texts(notebook.run_below(cells[2], timeout=RUN_S)) == "cde"
        chosen: list[headway.Cell | str] = [cells[3], cells[1].id]
        assert texts(notebook.run_all(cells=chosen, timeout=RUN_S)) == "db"
        assert notebook.run_above(cells[0], timeout=RUN_S) == []
        assert notebook.run_all(cells=[], timeout=RUN_S) == []
        words = notebook.cells[2]
        assert words.cell_type == "markdown"
        assert texts(notebook.run_above(words, timeout=RUN_S)) == "a"
        with pytest.raises(headway.CellNotFound):
            notebook.run_below("0123456789ab", timeout=RUN_S)


def test_a_batch_of_one_name_in_a_notebook_and_its_copy_is_two(
    daemon: HeadwayDaemon, name: str
) -> None:
    batch = execution_id(time.time(), os.urandom)
    with daemon.open(name) as notebook:
        cell = notebook.add_cell("print('one')")
        notebook.save()
    shutil.copy(daemon.path(name), daemon.path(f"{name}-copy"))
    with daemon.open(f"{name}-copy") as copy:
        copy.update_source(copy.cells[0], "print('two')")
        documents = {notebook.id: "one\n", copy.id: "two\n"}
        copy.confirm_sync()
    for document in documents:
        assert daemon.post("execute_all", document=document, batch_id=batch).status == 200
    for document, text in documents.items():
        identity = derived_execution_id(batch, cell.id)
        params = {"document": document, "execution_id": identity, "wait": True}
        answer = daemon.post("get_execution", **params).body
        assert answer["document"] == document
        assert answer["record"]["outputs"][0]["text"] == text


def test_a_batch_with_a_cell_that_cannot_run_runs_nothing(daemon: HeadwayDaemon, name: str) -> None:
    with daemon.open(name) as notebook:
        cell = notebook.add_cell("ran = True")
        words = notebook.add_cell("# words", cell_type="markdown")
        with pytest.raises(headway.NotExecutable):
            notebook.run_all(cells=[cell, words], timeout=RUN_S)
        assert notebook.run("'ran' in dir()", timeout=RUN_S).text == "False"


def test_tags_say_which_cell_may_fail_and_which_is_left_out(
    daemon: HeadwayDaemon, name: str
) -> None:
    with daemon.open(name) as notebook:
        notebook.add_cell("1 / 0", metadata={"tags": ["raises-exception"]})
        skipped = notebook.add_cell("'skipped'", metadata={"tags": ["skip-execution"]})
        notebook.add_cell("'on'")
        results = notebook.run_all(timeout=RUN_S)
        assert [result.status for result in results] == ["error", "ok"]
        assert notebook.cell(skipped).status is None
        assert notebook.execute_cell(skipped, timeout=RUN_S).text == "'skipped'"
