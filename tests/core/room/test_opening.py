"""A room that is opened again: what its file lacks is written, and nothing else is."""

from __future__ import annotations

import json

from headway.core.room.effects import RuntimeReplaced, UpdateStored, WriteFile
from headway.core.room.opening import Opening
from headway.core.wire.rpc import Execute
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


def test_a_file_that_holds_everything_is_not_written_for_being_opened() -> None:
    later = reopened(first(FILE), file=FILE, base=FILE)
    assert later.of(WriteFile) == []


def test_a_file_that_somebody_deleted_is_not_written_for_being_opened() -> None:
    later = reopened(first(FILE), file=None, base=FILE)
    assert later.of(WriteFile) == []


def test_opening_again_shows_no_cell_twice() -> None:
    stage = first(FILE)
    later = reopened(stage, file=FILE, base=FILE)
    assert later.room.notebook.order() == stage.room.notebook.order()
